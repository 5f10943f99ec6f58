/** An upload by HTTP PUT that notes when its last byte has left. */

import { once } from "node:events";
import { open } from "node:fs/promises";
import { request as httpRequest, type IncomingMessage } from "node:http";

export interface TimedUpload {
  /** From the connection to the whole answer. */
  seconds: number;
  /** From the moment that the kernel has taken the last byte to the whole answer. */
  lastByteToAnswerMs: number;
  /** Status and body of the answer. */
  status: number;
  text: string;
}

const chunkBytes = 1024 * 1024;

/** Sends a file. The kernel holds a few MiB of a loopback connection: those are on their way when the last byte has left. */
export async function timedUpload(url: string, path: string, sizeBytes: number): Promise<TimedUpload> {
  await using file = await open(path, "r");
  const startMs = performance.now();
  const request = httpRequest(url, { method: "PUT", headers: { "content-length": String(sizeBytes) } });
  const answered = once(request, "response") as Promise<[IncomingMessage]>;
  // Two buffers: one is read into while the other is on its way.
  const buffers = [Buffer.allocUnsafe(chunkBytes), Buffer.allocUnsafe(chunkBytes)] as const;
  let written: Promise<void> = Promise.resolve();
  for (let sentBytes = 0, turn = 0; sentBytes < sizeBytes; turn = 1 - turn) {
    const buffer = buffers[turn] as Buffer;
    const { bytesRead } = await file.read(buffer, 0, chunkBytes, sentBytes);
    if (bytesRead === 0) throw new Error(`${path} has fewer than ${sizeBytes} bytes`);
    await written;
    written = new Promise((resolve, reject) => {
      request.write(buffer.subarray(0, bytesRead), (error) => (error ? reject(error) : resolve()));
    });
    sentBytes += bytesRead;
  }
  await written;
  const lastByteMs = performance.now();
  request.end();
  const [response] = await answered;
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const endMs = performance.now();
  return {
    seconds: (endMs - startMs) / 1_000,
    lastByteToAnswerMs: endMs - lastByteMs,
    status: response.statusCode ?? 0,
    text: Buffer.concat(chunks).toString(),
  };
}
