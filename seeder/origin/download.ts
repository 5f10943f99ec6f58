/** `GET /images/X/data`, whole or a range, and `GET /images/X.torrent`. */
import { type FileHandle, open } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import type { Request, Response } from "../../daemon/listener.ts";
import { Problem, systemCodeOf } from "../../daemon/problem.ts";
import { metainfoOf } from "../../swarm/metainfo.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { Image } from "../catalog/image.ts";
import { rangeAnswerFor } from "./range.ts";

/** Read from disk and handed to the socket at a time. */
const chunkBytes = 512 * 1024;

export interface DownloadParts {
  catalog: Catalog;
  download: {
    /** A client that takes nothing for so long is dropped: it holds a file open. */
    idleTimeoutMs: number;
    onSent: (bytes: number) => void;
  };
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
  const file = await openData(path);
  writable.writeHead(status, headers);
  request.setTimeout(parts.download.idleTimeoutMs, () => writable.destroy());
  await sendFile(file, start, end, writable, parts.download.onSent);
  return status;
}

/** Sends an image's .torrent file. Rejects with a Problem if it has none. */
export async function answerTorrent(
  parts: DownloadParts,
  image: Image,
  request: Request,
  response: Response,
): Promise<number> {
  const metainfo = metainfoOf(await parts.catalog.torrentOf(image));
  const writable = response as ServerResponse;
  writable.writeHead(200, {
    "content-type": "application/x-bittorrent",
    "content-length": metainfo.length,
    "content-disposition": `attachment; filename="${image.names[0]}.torrent"`,
  });
  writable.end(request.method === "HEAD" ? undefined : metainfo);
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
  onSent: (bytes: number) => void,
): Promise<void> {
  const bytes = file.createReadStream({ start, end: end - 1, highWaterMark: chunkBytes });
  bytes.on("data", (chunk) => onSent(chunk.length));
  // A client that goes away is no fault of ours; pipeline closes the file either way.
  await pipeline(bytes, response).catch(() => response.destroy());
}
