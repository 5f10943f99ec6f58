/**
 * What the agent's main thread, which owns images, torrents and attachments, and the disk worker, which owns NBD's sockets
 * and files, say to each other. Bytes never pass: the worker reads the image's file itself, and which pieces of it are
 * verified stands in shared memory.
 */

/** The pieces of an image, as its torrent has them. */
export interface SharedPieces {
  pieceLengthBytes: number;
  /** A bit for each piece (BEP 3's order: the first is 0x80 of the first byte) that is verified and in the file. */
  have: SharedArrayBuffer;
  /** The same for pieces that are all zeros: known from their hash, whether they are here or not. */
  zero: SharedArrayBuffer;
}

/** An image whose file is read; `pieces` is absent while its torrent is not known: every read waits, unless it is complete. */
export interface HostedImage {
  digest: string;
  dataPath: string;
  sizeBytes: number;
  /** All of the file is verified, whatever `pieces` says. */
  complete: boolean;
  pieces?: SharedPieces | undefined;
}

/** Certificates of exports over TCP, PEM. With `caPath` clients must show a certificate of that authority. */
export interface TlsFiles {
  certPath: string;
  keyPath: string;
  caPath?: string | undefined;
}

/** One TCP port serves all exports that name it, each by its name. */
export interface TcpListen {
  host: string;
  port: number;
  tls?: TlsFiles | undefined;
}

/** A Unix socket of one export. Nobody but this process's user may open it, and the group's members if there is one. */
export interface SocketListen {
  socketPath: string;
  groupId?: number | undefined;
}

/** Where an export is served: a Unix socket's absolute path, or TCP. */
export type ExportListen = SocketListen | TcpListen;

export interface ExportSpec {
  /** The attachment's id. */
  id: string;
  /** The export's name, as NBD clients ask for it; on a Unix socket the empty name reaches it too. */
  name: string;
  digest: string;
  listen: ExportListen;
  /** Serves it there as well; `DiskHost` says so where the agent is configured to serve TCP. */
  tcp?: TcpListen | undefined;
  /** How long a read may wait for bytes that are not here before it fails with EIO. */
  readTimeoutMs: number;
}

/** A boot image's verified file, and those of the boot images that have some of its pages, as far as they are here. */
export interface BootImageFiles {
  /** The boot image's own. */
  digest: string;
  path: string;
  sources: { digest: string; path: string }[];
}

export type ToDiskWorker =
  /** Makes an image readable, or says anew what is known of it: its pieces, that it is complete, or that it no longer is. */
  | { kind: "image"; image: HostedImage }
  /** Bits of `have` were set since. */
  | { kind: "arrived"; digest: string }
  /** No export is left that reads it: its file is closed. */
  | { kind: "forget"; digest: string }
  | { kind: "open"; export: ExportSpec }
  /** Ends its connections, then answers `closed`. */
  | { kind: "close"; id: string }
  /** A boot image to be used above an image's disk; null takes it away. */
  | { kind: "boot-image"; digest: string; sizeBytes: number; files: BootImageFiles | null }
  | { kind: "memory"; bootBytesMax: number }
  | { kind: "record"; id: string }
  /** Answered by `recorded`. */
  | { kind: "record-stop"; id: string };

/** Bytes that reads wait for, or soon will: `ahead` are guesses from a sequential reader. */
export interface DemandedRange {
  offset: number;
  length: number;
  ahead: boolean;
}

/** Totals of an export since it was opened. */
export interface ExportStats {
  id: string;
  connections: number;
  reads: number;
  readBytes: number;
  /** Where the bytes came from: the boot image in memory, the file, or a piece that had to be waited for. */
  bootImageBytes: number;
  fileBytes: number;
  demandBytes: number;
  errors: number;
  lastReadAtMs: number;
}

/** What boot images do in the worker: see boot-memory.ts; reads that one had a part in, and those that it had all of. */
export interface BootStats {
  images: number;
  bytes: number;
  sharedBytes: number;
  reads: number;
  wholeReads: number;
}

/** How far a recording is. */
export interface RecordingProgress {
  reads: number;
  /** Bytes of the blocks that were read, each counted once. */
  blockBytes: number;
  /** Since a block was last read for the first time. */
  quietMs: number;
}

export type FromDiskWorker =
  /** `tcpUri` is that of `tcp`. */
  | { kind: "opened"; id: string; uri: string; tcpUri?: string | undefined }
  | { kind: "open-failed"; id: string; error: string; code?: string }
  | { kind: "closed"; id: string }
  /** All that reads of an image wait for now; sent whenever it changes, empty at the end. */
  | { kind: "demand"; digest: string; ranges: DemandedRange[] }
  /** Demand reads that were served: how long each waited. */
  | { kind: "served"; digest: string; waitedMs: number[] }
  /** A byte of a complete image cannot be read from this machine's disk; reads wait for `image` to say that it is fetched anew. */
  | { kind: "lost"; digest: string; offset: number; error: string }
  /** A read failed with EIO; `isTimeout`: since what it needed did not come in time. */
  | { kind: "read-failed"; id: string; offset: number; length: number; error: string; isTimeout: boolean }
  /**
   * A boot image is not used. `digest` is its own; damaged: its file is not what it was; otherwise it does not fit its image
   * or the memory.
   */
  | { kind: "boot-image-bad"; digest: string; path: string; error: string; isDamaged: boolean }
  | { kind: "stats"; exports: ExportStats[]; boot: BootStats }
  /** Now and then while a recording goes on. */
  | { kind: "recording"; id: string; progress: RecordingProgress }
  /** Clients broke the protocol or a bound, and were cut off: how many since this was last told, and why the last of them. */
  | { kind: "breach"; listen: string; reason: string; count: number }
  /** Reads in order, as pairs of offset and length. */
  | { kind: "recorded"; id: string; reads: Float64Array };
