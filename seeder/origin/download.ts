/** `GET /images/X/data`, whole or a range, and `GET /images/X.torrent`. */
import { type FileHandle, open } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import type { Request, Response } from "../../daemon/listener.ts";
import { Problem, systemCodeOf } from "../../daemon/problem.ts";
import { metainfoOf } from "../../swarm/metainfo.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { Image } from "../catalog/image.ts";
import { type FallbackBudget, type Lease, NoSlot } from "./fallback-budget.ts";
import { rangeAnswerFor } from "./range.ts";

/** Read from disk and handed to the socket at a time. */
const chunkBytesMax = 512 * 1024;
/** A client in a slot that takes nothing for so long gives it to another, however long others may be silent. */
const slotIdleMsMax = 15_000;

export interface DownloadParts {
  catalog: Catalog;
  download: {
    /** A client that takes nothing for so long is dropped: it holds a file open. */
    idleTimeoutMs: number;
    /** `mode`: how it was asked for, of an image that peers have too. */
    onSent: (bytes: number, mode: Lease["mode"] | undefined) => void;
  };
  /** What may be sent of images that peers have too. */
  fallback: FallbackBudget;
}

/** Sends an image's bytes. Rejects with a Problem before anything is sent, or ends the response. Returns the status. */
export async function answerDownload(
  parts: DownloadParts,
  image: Image,
  request: Request,
  response: Response,
): Promise<number> {
  const etag = `"${image.digest}"`;
  const header = (name: string) => request.headers[name] as string | undefined;
  const answer = rangeAnswerFor(
    {
      range: header("range"),
      ifRange: header("if-range"),
      ifNoneMatch: header("if-none-match"),
      ifMatch: header("if-match"),
    },
    image.sizeBytes,
    etag,
  );
  const path = parts.catalog.dataPath(image);
  const common = { etag, "accept-ranges": "bytes", "cache-control": "no-cache" };
  // The two response classes agree here, but their overloads do not unify.
  const writable = response as ServerResponse;
  if (!("start" in answer)) {
    const unsatisfied = answer.status === 416 ? { "content-range": `bytes */${image.sizeBytes}` } : {};
    const length = answer.status === 304 ? {} : { "content-length": 0 };
    writable.writeHead(answer.status, { ...common, ...unsatisfied, ...length }).end();
    return answer.status;
  }
  const { status, start, end } = answer;
  const partial = status === 206 ? { "content-range": `bytes ${start}-${end - 1}/${image.sizeBytes}` } : {};
  const headers = {
    ...common,
    ...partial,
    "content-type": "application/octet-stream",
    "content-length": end - start,
  };
  if (request.method === "HEAD") {
    writable.writeHead(status, headers).end();
    return status;
  }
  const lease = await leaseFor(parts, image, request, response);
  try {
    const file = await openData(path);
    writable.writeHead(status, headers);
    const { idleTimeoutMs, onSent } = parts.download;
    const silenceMs = lease ? Math.min(idleTimeoutMs, slotIdleMsMax) : idleTimeoutMs;
    request.setTimeout(silenceMs, () => writable.destroy());
    await sendFile(file, start, end, writable, lease, (bytes) => onSent(bytes, lease?.mode));
  } finally {
    lease?.end();
  }
  return status;
}

/**
 * A slot for an image that peers have too; undefined for one that only the origin has.
 *
 * @throws NoSlot, with Retry-After in the response's headers.
 */
async function leaseFor(
  parts: DownloadParts,
  image: Image,
  request: Request,
  response: Response,
): Promise<Lease | undefined> {
  if (!image.torrent) return undefined;
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  try {
    return await parts.fallback.lease(request, gone.signal);
  } catch (error) {
    if (error instanceof NoSlot) {
      const writable = response as ServerResponse;
      writable.setHeader("retry-after", Math.ceil(error.retryAfterMs / 1_000));
      // For those who can wait for less than a second.
      writable.setHeader("bootswarm-retry-after-ms", Math.ceil(error.retryAfterMs));
    }
    throw error;
  }
}

/** Sends an image's .torrent file. Rejects with a Problem if it has none. */
export async function answerTorrent(
  parts: DownloadParts,
  image: Image,
  request: Request,
  response: Response,
): Promise<number> {
  const metainfo = metainfoOf(await parts.catalog.torrentOf(image));
  // Nodes in need of it say so; others, such as people's clients, do not come by the thousand.
  const isFallback = request.method === "GET" && request.headers["bootswarm-fallback"] !== undefined;
  const lease = isFallback ? await leaseFor(parts, image, request, response) : undefined;
  const writable = response as ServerResponse;
  try {
    await lease?.pace(metainfo.length, AbortSignal.timeout(parts.download.idleTimeoutMs));
    writable.writeHead(200, {
      "content-type": "application/x-bittorrent",
      "content-length": metainfo.length,
      "content-disposition": `attachment; filename="${image.names[0]}.torrent"`,
    });
    writable.end(request.method === "HEAD" ? undefined : metainfo);
    if (lease) parts.download.onSent(metainfo.length, lease.mode);
  } finally {
    lease?.end();
  }
  return 200;
}

async function openData(path: string): Promise<FileHandle> {
  try {
    return await open(path, "r");
  } catch (error) {
    if (systemCodeOf(error) === "ENOENT") {
      throw new Problem("not-found", "the image was retired just now", { cause: error });
    }
    throw error;
  }
}

async function sendFile(
  file: FileHandle,
  start: number,
  end: number,
  response: ServerResponse,
  lease: Lease | undefined,
  onSent: (bytes: number) => void,
): Promise<void> {
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  const bytes = file.createReadStream({ start, end: end - 1, highWaterMark: lease?.chunkBytes ?? chunkBytesMax });
  const paced = async function* (chunks: AsyncIterable<Buffer>) {
    for await (const chunk of chunks) {
      await lease?.pace(chunk.length, gone.signal);
      onSent(chunk.length);
      yield chunk;
    }
  };
  // A client that goes away is no fault of ours; pipeline closes the file either way.
  await pipeline(bytes, paced, response).catch(() => response.destroy());
}
