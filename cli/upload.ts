import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { Readable } from "node:stream";
import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import { formatBytes } from "../figures/units.ts";
import { type Image, ImageSchema } from "../proto/gen/bootswarm/image/v1/image_pb.js";
import { CliError, systemCodeIn, usageError } from "./cli-error.ts";
import type { DaemonAddress } from "./daemon-address.ts";
import { unreachableError } from "./daemon-errors.ts";

/** An image file on its way to the seeder. */
export interface Upload {
  path: string;
  /** Name to publish under. */
  name: string;
  /** Digest that the file must have, where the user gave one. */
  sha256: string | undefined;
  /** Whether the image is to be in the swarm at once. */
  torrent: boolean;
  /** Told how many bytes have been handed to the connection, and how many there are. */
  onSent: (sentBytes: number, sizeBytes: number) => void;
  signal: AbortSignal;
}

/** Reads of the file, in bytes: large enough that their number costs nothing, small enough for a smooth bar. */
const chunkBytes = 1024 * 1024;
/** Largest answer taken, in bytes; an image's description is far below. */
const answerBytesMax = 256 * 1024;
const connectMsMax = 15_000;

/**
 * Sends the file and returns the published image, whose digest is that of the bytes sent.
 *
 * @throws CliError with the seeder's own words where it refuses, also when it does so before the file has been sent.
 */
export async function uploadImage(seeder: DaemonAddress, upload: Upload): Promise<Image> {
  await using file = await openImageFile(upload.path);
  const { size } = await file.stat();
  const sent = { bytes: 0, sha256: "" };
  // Loaded only here: most commands do without, and start sooner.
  const { Client } = await import("undici");
  const client = new Client(seeder.baseUrl, {
    connect: { timeout: connectMsMax, ...(seeder.socketPath === undefined ? {} : { socketPath: seeder.socketPath }) },
    // The answer comes when the seeder has hashed, written and synced all of it; a large image may take its time.
    headersTimeout: 0,
    bodyTimeout: 60_000,
  });
  try {
    const answer = await client.request({
      method: "PUT",
      path: pathOf(upload),
      headers: { "content-type": "application/octet-stream", "content-length": String(size) },
      body: Readable.from(chunksOf(upload, size, sent), { objectMode: false }),
      signal: upload.signal,
    });
    const text = await boundedText(answer.body);
    if (answer.statusCode >= 300) throw refusal(seeder, answer.statusCode, text);
    const image = imageFrom(seeder, text);
    if (image.digest !== sent.sha256) throw wrongDigest(upload, image, sent.sha256);
    return image;
  } catch (error) {
    throw uploadError(seeder, upload, error, sent.bytes, size);
  } finally {
    await client.destroy();
  }
}

async function openImageFile(path: string): Promise<FileHandle> {
  let file: FileHandle;
  try {
    file = await open(path, "r");
  } catch (error) {
    const code = systemCodeIn(error);
    const why = code === "ENOENT" ? "there is no such file" : code === "EACCES" ? "not allowed to read it" : `${code}`;
    throw new CliError(`cannot read ${path}: ${why}`, { cause: error });
  }
  const stat = await file.stat();
  if (stat.isFile() && stat.size > 0) return file;
  await file.close();
  throw usageError(stat.isFile() ? `${path} is empty; an image has bytes` : `${path} is no file; an image is a file`);
}

function pathOf(upload: Upload): string {
  const query = new URLSearchParams();
  if (upload.sha256 !== undefined) query.set("sha256", upload.sha256);
  if (!upload.torrent) query.set("torrent", "false");
  const text = query.toString();
  return `/images/${encodeURIComponent(upload.name)}${text === "" ? "" : `?${text}`}`;
}

/** The file's bytes, hashed as they go. A file that grows meanwhile is sent up to the size it had. */
async function* chunksOf(upload: Upload, sizeBytes: number, sent: { bytes: number; sha256: string }) {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(upload.path, { highWaterMark: chunkBytes, end: sizeBytes - 1 })) {
    hash.update(chunk);
    if (sent.bytes + chunk.length === sizeBytes) sent.sha256 = hash.digest("hex");
    yield chunk as Buffer;
    sent.bytes += chunk.length;
    upload.onSent(sent.bytes, sizeBytes);
  }
}

async function boundedText(body: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > answerBytesMax) throw new CliError(`the answer is longer than ${formatBytes(answerBytesMax)}`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function imageFrom(seeder: DaemonAddress, text: string): Image {
  try {
    return fromJson(ImageSchema, JSON.parse(text) as JsonValue, { ignoreUnknownFields: true });
  } catch (error) {
    throw new CliError(`what answers at ${seeder.url} does not answer like a seeder: ${text.slice(0, 200)}`, {
      cause: error,
    });
  }
}

/** The seeder's errors are {"code", "message"}; anything else is shown as it is. */
function refusal(seeder: DaemonAddress, status: number, text: string): CliError {
  try {
    const { message } = JSON.parse(text) as { message?: unknown };
    if (typeof message === "string" && message !== "") return new CliError(message);
  } catch {
    // Not JSON, so not the seeder's own words.
  }
  const rest = text.trim() === "" ? "" : `: ${text.trim().slice(0, 200)}`;
  return new CliError(`the seeder at ${seeder.url} answered with HTTP status ${status}${rest}`);
}

function wrongDigest(upload: Upload, image: Image, sha256: string): CliError {
  return new CliError(
    `the seeder has sha256 ${image.digest}, but the bytes sent have ${sha256}: they changed on the way. ` +
      `Take it back with \`bootswarm retire ${upload.name}\`.`,
  );
}

function uploadError(seeder: DaemonAddress, upload: Upload, error: unknown, sentBytes: number, sizeBytes: number) {
  if (error instanceof CliError || upload.signal.aborted) return error;
  const unreachable = unreachableError(seeder, error);
  if (unreachable) return unreachable;
  const code = systemCodeIn(error);
  if (code === "UND_ERR_REQ_CONTENT_LENGTH_MISMATCH") {
    return new CliError(`${upload.path} changed while it was being sent; nothing was published`, { cause: error });
  }
  return new CliError(
    `the seeder at ${seeder.url} closed the connection after ${formatBytes(sentBytes)} of ${formatBytes(sizeBytes)}; ` +
      `nothing was published. Its log says why.`,
    { cause: error },
  );
}
