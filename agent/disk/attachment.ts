/** What an attached disk is, and what attaching needs of the rest of the agent. */
import type { Log } from "../../daemon/log.ts";
import type { Clock } from "../../swarm/types.ts";
import type { CacheEntry, ImageCache } from "../cache/image-cache.ts";
import type { InUse } from "../cache/in-use.ts";
import type { Fetches } from "../fetch/fetches.ts";
import type { Images } from "../images.ts";
import type { AttachmentRecord } from "./attachment-records.ts";
import type { SocketPlace } from "./export-socket.ts";
import type { ExportSpec, ExportStats } from "./messages.ts";

/** Where exports are served. */
export interface ExportHost {
  /** Begins to serve an export. Rejects if its address cannot be had. */
  open(spec: ExportSpec): Promise<{ uri: string; tcpUri?: string | undefined }>;
  /** Ends an export and its connections; nothing if there is none. */
  close(id: string): Promise<void>;
  /** Whether a boot is being recorded through an export: what its VM reads after a handover nobody sees. */
  isRecorded(id: string): boolean;
  /** What is known of an export that is served. */
  statsOf(id: string): ExportStats | undefined;
  /** Why the last read of an export that failed did so; empty if none has. */
  faultOf(id: string): string;
}

/** What makes an image's bytes readable for exports as they come, until what it returns is called. */
export interface ReadableImages {
  use(digest: string): () => void;
}

/** Has a running QEMU read an image's file in place of an export; gives up when the signal aborts. */
export type HandOver = (disk: HandOverTarget, qmpPath: string, signal: AbortSignal) => Promise<void>;

export interface HandOverTarget {
  name: string;
  nodePrefix: string;
  imagePath: string;
  format: "raw" | "qcow2";
}

export interface AttachmentsOptions {
  cache: ImageCache;
  images: Pick<Images, "ensure">;
  fetches: Pick<Fetches, "get">;
  inUse: InUse;
  exports: ExportHost;
  readable: ReadableImages;
  place: SocketPlace;
  readTimeoutMs: number;
  handOver: HandOver;
  /** Whether a QEMU answers at a QMP socket. */
  isRunning: (qmpPath: string) => Promise<boolean>;
  clock: Clock;
  now: () => Date;
  log: Log;
}

export interface AttachRequest {
  image: string;
  /** Empty: one is made. */
  name: string;
  overlayPath: string;
  mountPath: string;
  qmpPath: string;
}

export const attachmentStates = ["serving", "failed", "handed-over"] as const;
export type AttachmentState = (typeof attachmentStates)[number];

/** An attached disk as it is now. */
export interface AttachmentView {
  record: AttachmentRecord;
  state: AttachmentState;
  error: string;
  uri: string;
  /** Empty if it is not served by TCP. */
  tcpUri: string;
  nodePrefix: string;
  /** Undefined if the image has gone from the cache, which takes damage to the state directory. */
  entry: CacheEntry | undefined;
  stats: ExportStats | undefined;
}
