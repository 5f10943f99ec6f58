import type { ProblemKind } from "../../daemon/problem.ts";
import type { ImportSource } from "./source.ts";

/** What the child is told, once, by IPC. */
export interface ImportOrder {
  source: ImportSource;
  /** Path of the wanted file in a torrent; empty takes the only or largest file. */
  file: string;
  /** Nodes ("HOST:PORT") to enter the public DHT by; empty for not at all. */
  publicDhtBootstrap: string[];
  /** A directory of the child's own; the parent removes it. */
  temporaryDirectory: string;
}

/** What the child tells by IPC. The image's bytes come on file descriptor `bytesDescriptor`. */
export type ImportNews =
  /** The process runs; until then it is the machine that takes time. */
  | { type: "started" }
  /** The torrent has been read; its peers are being looked for. `webSeed` is an HTTP source that it names. */
  | { type: "joined"; webSeed: string | undefined }
  /** The source answers; bytes follow. */
  | { type: "opened"; sizeBytes: number | undefined }
  | { type: "progress"; peers: number }
  /** A try of the source brought nothing; another follows. */
  | { type: "retrying"; reason: string }
  /** All bytes have been written; `sentBytes` guards against a pipe that ended early. */
  | { type: "done"; sentBytes: number }
  | { type: "failed"; kind: ProblemKind; message: string };

export const bytesDescriptor = 3;

/** Where the child reads an image from, whatever the kind of source. */
export interface ByteSource {
  sizeBytes: number | undefined;
  /** The image's bytes, once, in order. */
  bytes: AsyncIterable<Uint8Array>;
}
