/** `PUT /images/NAME`: the body goes straight into the publish pipeline. */
import type { Request, Response } from "../../daemon/listener.ts";
import type { Log } from "../../daemon/log.ts";
import { messageOf, Problem } from "../../daemon/problem.ts";
import type { Published, Publisher } from "../catalog/publish.ts";
import { sendError, sendJson } from "./answers.ts";
import { bodyOf } from "./body.ts";
import type { ImageRoute } from "./route.ts";

/** After a refusal the rest of the body is thrown away for so long, so that the client gets to read the answer. */
const lingerMs = 5_000;

export type UploadResult = "published" | "unchanged" | "refused" | "cut" | "failed";

export interface UploadParts {
  publisher: Publisher;
  /** The JSON text of a published image. */
  toJson: (published: Published) => string;
  upload: {
    /** A client that sends nothing for so long is dropped. */
    idleTimeoutMs: number;
    onEnd: (result: UploadResult, receivedBytes: number) => void;
  };
  log: Log;
}

/** Answers an upload: 201, or 200 if nothing had to change; the image in JSON. Never rejects. */
export async function answerUpload(
  parts: UploadParts,
  route: ImageRoute,
  request: Request,
  response: Response,
): Promise<number> {
  const counted = { receivedBytes: 0 };
  try {
    const body = count(bodyOf(request, parts.upload.idleTimeoutMs), counted);
    const published = await parts.publisher.publish(body, {
      name: route.image,
      torrent: torrentWanted(route.query),
      sha256: route.query.get("sha256") ?? undefined,
      sizeBytes: contentLengthOf(request),
    });
    const status = published.changed ? 201 : 200;
    sendJson(response, status, parts.toJson(published));
    parts.upload.onEnd(published.changed ? "published" : "unchanged", counted.receivedBytes);
    return status;
  } catch (error) {
    const result = resultOf(error, request);
    parts.upload.onEnd(result, counted.receivedBytes);
    const fields = { name: route.image, receivedBytes: counted.receivedBytes, result, error: messageOf(error) };
    if (result === "failed") parts.log.error(fields, "an upload failed");
    else parts.log.info(fields, "an upload was not taken");
    const status = sendError(response, error);
    discardRest(request);
    return status;
  }
}

async function* count(bytes: AsyncIterable<Uint8Array>, counted: { receivedBytes: number }): AsyncIterable<Uint8Array> {
  for await (const chunk of bytes) {
    counted.receivedBytes += chunk.length;
    yield chunk;
  }
}

function torrentWanted(query: URLSearchParams): boolean {
  const text = query.get("torrent") ?? "true";
  if (text !== "true" && text !== "false") throw new Problem("invalid", `torrent=${text}: write true or false`);
  return text === "true";
}

function contentLengthOf(request: Request): number | undefined {
  const text = request.headers["content-length"];
  if (text === undefined) return undefined;
  const length = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(length)) {
    throw new Problem("invalid", "the Content-Length cannot be read");
  }
  return length;
}

function resultOf(error: unknown, request: Request): UploadResult {
  if (error instanceof Problem) return error.kind === "internal" || error.kind === "exhausted" ? "failed" : "refused";
  return request.destroyed || request.errored ? "cut" : "failed";
}

function discardRest(request: Request): void {
  if (request.readableEnded || request.destroyed) return;
  request.on("error", () => {});
  request.resume();
  const timer = setTimeout(() => request.destroy(), lingerMs);
  request.once("close", () => clearTimeout(timer));
  request.once("end", () => clearTimeout(timer));
}
