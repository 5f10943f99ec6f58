import { createHash } from "node:crypto";
import type { ServerResponse } from "node:http";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { onTestFinished } from "vitest";
import { type Listener, openListener } from "../../../daemon/listener.ts";
import { createLog } from "../../../daemon/log.ts";
import { createMetrics } from "../../../daemon/metrics.ts";
import { Problem } from "../../../daemon/problem.ts";
import type { ImageSchema } from "../../../proto/gen/bootswarm/image/v1/image_pb.js";
import { CatalogService } from "../../../proto/gen/bootswarm/seeder/v1/catalog_pb.js";
import {
  InventoryService,
  type ReportRequest,
  type ReportResponseSchema,
} from "../../../proto/gen/bootswarm/seeder/v1/inventory_pb.js";

/** One request for an image's bytes: which it is, counted from 1, and where it is to begin and to end. */
export interface DataRequest {
  number: number;
  offset: number;
  /** Offset of the last byte asked for. */
  last: number;
  response: ServerResponse;
}

export interface ScriptedImage {
  name: string;
  bytes: Buffer;
  /** What the catalog says instead of the truth. */
  said?: MessageInitShape<typeof ImageSchema>;
  /** Its .torrent file, if it has one. */
  torrent?: Buffer;
  /** Answers requests for the bytes; honestly, unless given. */
  serve?: (request: DataRequest) => void;
}

/** What the seeder does besides serving. */
export interface Script {
  /** Awaited before each answer of the catalog, with how many there were before. */
  beforeImage?: (answered: number) => Promise<void>;
  /** Answers a report. */
  onReport?: (report: ReportRequest) => MessageInitShape<typeof ReportResponseSchema>;
}

export interface ScriptedSeeder {
  url: string;
  /** Offsets of the requests for bytes, in order. */
  offsets: number[];
  /** How many pieces had failed their hash, as the last report said. */
  readonly verifyFailuresTold: number;
  close(): Promise<void>;
}

export const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/**
 * A seeder that can lie, over real sockets: a catalog and an HTTP origin that do what a test says. It has no swarm.
 *
 * @param address where to listen; any free port unless given
 */
export async function startScriptedSeeder(
  images: ScriptedImage[],
  port = 0,
  script: Script = {},
): Promise<ScriptedSeeder> {
  const offsets: number[] = [];
  let verifyFailuresTold = 0;
  let imagesAnswered = 0;
  const messages = images.map((image) => ({
    image,
    message: {
      digest: sha256(image.bytes),
      names: [image.name],
      sizeBytes: BigInt(image.bytes.length),
      virtualSizeBytes: BigInt(image.bytes.length),
      dataPath: `/images/${sha256(image.bytes)}/data`,
      ...image.said,
    },
  }));
  const listener: Listener = await openListener({
    address: { host: "127.0.0.1", port },
    metrics: createMetrics(),
    readiness: () => ({ ready: true, reasons: [] }),
    log: createLog({ level: "silent", name: "test" }),
    routes: (router) => {
      router.service(CatalogService, {
        getImage: async ({ image }) => {
          await script.beforeImage?.(imagesAnswered++);
          const found = messages.find(({ message }) => message.names.includes(image) || message.digest === image);
          if (!found) throw new Problem("not-found", `there is no image "${image}"`);
          return { image: found.message };
        },
      });
      router.service(InventoryService, {
        report: (report) => {
          verifyFailuresTold = Number(report.pieceVerifyFailures);
          return script.onReport?.(report) ?? {};
        },
      });
    },
    http: (request, response) => {
      const torrent = messages.find(({ message }) => request.url === `/images/${message.digest}.torrent`)?.image
        .torrent;
      if (torrent) {
        (response as ServerResponse).end(torrent);
        return true;
      }
      const found = messages.find(({ message }) => message.dataPath === request.url);
      if (!found) return false;
      const { bytes, serve = (asked) => sendRange(asked, bytes) } = found.image;
      const range = /^bytes=(\d+)-(\d*)/.exec(String(request.headers.range ?? ""));
      const offset = Number(range?.[1] ?? 0);
      offsets.push(offset);
      const last = Number(range?.[2] || bytes.length - 1);
      serve({ number: offsets.length, offset, last, response: response as ServerResponse });
      return true;
    },
  });
  let closed = false;
  const close = async () => {
    if (!closed) await listener.close();
    closed = true;
  };
  onTestFinished(close);
  return {
    url: listener.url,
    offsets,
    get verifyFailuresTold() {
      return verifyFailuresTold;
    },
    close,
  };
}

/** Writes the head of an honest answer for the rest of `bytes` from `offset`. */
export function sendHead(response: ServerResponse, bytes: Buffer, offset: number, digest = sha256(bytes)): void {
  const range = { "content-range": `bytes ${offset}-${bytes.length - 1}/${bytes.length}` };
  response.writeHead(offset > 0 ? 206 : 200, {
    etag: `"${digest}"`,
    "content-length": bytes.length - offset,
    ...(offset > 0 && range),
  });
}

/** Answers with the rest of `bytes` from `offset`. */
export function sendFrom(response: ServerResponse, bytes: Buffer, offset: number, digest = sha256(bytes)): void {
  sendHead(response, bytes, offset, digest);
  response.end(bytes.subarray(offset));
}

/** Answers with exactly what was asked for. */
export function sendRange({ offset, last, response }: DataRequest, bytes: Buffer, digest = sha256(bytes)): void {
  if (last === bytes.length - 1) {
    sendFrom(response, bytes, offset, digest);
    return;
  }
  response.writeHead(206, { etag: `"${digest}"`, "content-range": `bytes ${offset}-${last}/${bytes.length}` });
  response.end(bytes.subarray(offset, last + 1));
}

/** Answers with bytes up to `end`, and hangs up once they are sent. */
export function sendUpTo(
  response: ServerResponse,
  bytes: Buffer,
  offset: number,
  end: number,
  digest = sha256(bytes),
): void {
  sendHead(response, bytes, offset, digest);
  response.write(bytes.subarray(offset, end), () => response.socket?.end());
}
