/**
 * The face of the swarm engine: what a daemon gives it and gets from it. The engine knows pieces and peers, nothing of
 * images, catalogs or caches.
 */

import type { Bitfield } from "./bitfield.ts";
import type { Disk } from "./disk.ts";

/** An address and port; TCP for peers, UDP for DHT nodes. */
export interface Endpoint {
  host: string;
  port: number;
}

/** A torrent's info dictionary (BEP 3), decoded and checked. Only single-file torrents exist here. */
export interface TorrentInfo {
  /** SHA-1 of `infoBytes`, 40 lower-case hex digits. */
  infohash: string;
  /** Suggested file name; never used as a path. */
  name: string;
  lengthBytes: number;
  /** Every piece has this length but the last, which may be shorter. */
  pieceLengthBytes: number;
  pieceCount: number;
  /** `pieceCount` SHA-1 digests of 20 bytes each, concatenated. */
  pieceHashes: Uint8Array;
  /** The bencoded info dictionary exactly as hashed; what ut_metadata (BEP 9) serves and what a node keeps. */
  infoBytes: Uint8Array;
}

/** What is to be stored, and where. */
export interface StorageOptions {
  info: TorrentInfo;
  dataPath: string;
  /** In the data's directory; absent where the data is complete and stays so. */
  havePath?: string | undefined;
  /** Take all pieces as verified. */
  complete: boolean;
}

/** What was in doubt of a torrent's data when it was opened, in pieces. */
export interface StorageRepair {
  /** Written and not recorded, or the record was lost: hashed. */
  hashed: number;
  /** Those of them that proved right. */
  kept: number;
  /** Recorded, but beyond the file's end. */
  lost: number;
}

/** A torrent's data: a file (`storage.ts`), or what a simulation takes for one. */
export interface PieceStorage {
  /** The pieces that are verified and stored. */
  readonly have: Bitfield;
  /** Bytes of verified pieces. */
  readonly doneBytes: number;
  /** Those of them that were taken for here when it was opened, since they are zeros; 0 if absent. */
  readonly zeroBytes?: number;
  /** What had to be repaired at the opening, if anything. */
  readonly repair?: StorageRepair | undefined;
  /** Whether what was not synced by now may be lost, whatever reads as if it were here; false if absent. */
  readonly isInDoubt?: boolean;
  /** Where a fault is told that belongs to no single call. */
  onFault: (error: Error) => void;
  /** Whether the bytes are the piece's. */
  verify(index: number, piece: Uint8Array): boolean;
  /** Writes a verified piece and takes note that it is here. The bytes must not change until then. */
  write(index: number, piece: Uint8Array): Promise<void>;
  /** Reads as `read` does, but at once, where nothing has to be waited for; false if something may. Of one piece only. */
  readNow(offset: number, buffers: readonly Uint8Array[]): boolean;
  /** Reads bytes of verified pieces from `offset` on, until each of the buffers is full, in order. */
  read(offset: number, buffers: readonly Uint8Array[]): Promise<void>;
  /** Makes what has come outlast a crash. */
  flush(): Promise<void>;
  /** Flushes, then lets go of the data. */
  close(): Promise<void>;
}

/** Opens a torrent's storage; `signal` ends what takes long. It rejects with an Error of the file system. */
export type OpenStorage = (options: StorageOptions, signal: AbortSignal) => Promise<PieceStorage>;

/**
 * What the engine needs of a connection's socket: node:net's fits, and a simulation brings its own. A chunk given to
 * "data" may be used again once the listener returns.
 */
export interface PeerSocket {
  /** Bytes written and not yet taken. */
  readonly writableLength: number;
  /** `taken` is called once the bytes' memory may be used again, sent or not. */
  write(bytes: Uint8Array, taken?: () => void): unknown;
  pause(): unknown;
  resume(): unknown;
  destroy(): unknown;
  setNoDelay(noDelay: boolean): unknown;
  on(event: "data", listener: (chunk: Buffer) => void): unknown;
  on(event: "drain" | "close", listener: () => void): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
}

/** The log lines the engine writes; pino's loggers fit. */
export interface SwarmLog {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/** Time and timers, so that a simulation can own them. */
export interface Clock {
  /** Milliseconds that never go back. */
  now(): number;
  /** Calls `run` once after `delayMs`; the returned function cancels it. */
  after(delayMs: number, run: () => void): () => void;
}

export interface SwarmOptions {
  /** Address to listen on, for TCP peers and the UDP DHT alike. */
  host: string;
  /** TCP port; 0 lets the kernel choose. */
  port: number;
  /** UDP port of the DHT; 0 lets the kernel choose. */
  dhtPort: number;
  /** DHT nodes to join by. The public DHT is never asked: with none given, the node waits to be found. */
  bootstrap?: readonly Endpoint[];
  /** Connections over all torrents. */
  connectionsMax?: number;
  /** Where the node is: a short name, see zone.ts. Nodes of the same zone are preferred, never exclusively. */
  zone?: string | undefined;
  /** Bytes per second sent to all peers; 0 is no limit. */
  uploadBytesPerSecondMax?: number;
  /** Bytes per second taken from all peers; 0 is no limit. What somebody waits for is counted, and not held back. */
  downloadBytesPerSecondMax?: number;
  log?: SwarmLog;
  /** Where the torrents' files are; the system's unless given. */
  disk?: Disk;
  clock?: Clock;
  /** Uniform in [0, 1). */
  random?: () => number;
}

/** A non-peer source of bytes behind the same face as a peer, such as HTTP ranges of the origin. */
export interface PieceSource {
  /** Shown in logs and errors, such as the URL. */
  readonly name: string;
  /** How many `read` calls may be under way at once. */
  readonly requestsMax: number;
  /** Milliseconds before which it is not to be asked for anything; now, if absent. */
  readyInMs?(): number;
  /** Whether it is asked only for pieces that no connected peer has; for any, if absent. */
  isForLackingOnly?(): boolean;
  /** Whether it is asked only for pieces that somebody waits for. */
  isForWantedOnly?(): boolean;
  /** How long a piece that peers have is waited for before it is asked of this, a quarter if none has it; 0 if absent. */
  readonly wantedAfterMs?: number;
  /**
   * Reads `length` bytes at `offset` of the torrent's data: exactly that many, or it rejects. What it gives is checked
   * against the piece's hash like a peer's. It must end when `signal` aborts.
   */
  read(offset: number, length: number, signal: AbortSignal): Promise<Uint8Array>;
}

export interface AddTorrentOptions {
  /** 40 hex digits. */
  infohash: string;
  /** The info dictionary, where it is known; otherwise it is fetched from peers (BEP 9). */
  info?: TorrentInfo;
  /** File of the torrent's data; created when the info is known, unless `complete`. */
  dataPath: string;
  /** Record of the pieces that are here, in the data's directory; absent for a torrent that is `complete` and will stay so. */
  havePath?: string;
  /** The data is here and was verified before: serve it without hashing it again. */
  complete?: boolean;
  /** Length that the torrent's data must have; an info dictionary that differs fails the torrent. */
  expectedLengthBytes?: number;
  /** Peers known beforehand, such as a magnet link's x.pe. */
  peers?: readonly Endpoint[];
  /** How fast it may be fetched, beside the limits of all torrents together. */
  pace?: Pace | undefined;
}

/** How fast bytes may be asked for, where that is bounded; it may change at any time. */
export interface Pace {
  /** Bytes that may be asked for now; infinite where there is no bound. */
  roomBytes(): number;
  /** So many were asked for. */
  took(bytes: number): void;
}

export interface TorrentStatus {
  infohash: string;
  /** 0 until the info dictionary is known. */
  lengthBytes: number;
  /** Bytes of verified pieces on disk. */
  doneBytes: number;
  /** Those of them that nobody had to send, since they are zeros. */
  zeroBytes: number;
  complete: boolean;
  /** Connected peers. */
  peers: number;
  /** Peers or DHT answers seen since the torrent was added, connected or not. */
  peersSeen: number;
  /** Payload bytes received from peers, wasted ones included. */
  swarmBytes: number;
  /** Those of them that came from other zones; 0 for a node that is in none. */
  farBytes: number;
  /** Payload bytes received from sources (HTTP). */
  sourceBytes: number;
  /** Payload bytes sent to peers. */
  sentBytes: number;
  /** Payload received now, peers and sources. */
  downBytesPerSecond: number;
  upBytesPerSecond: number;
  /** Pieces that failed their hash. */
  verifyFailures: number;
  /** How long the longest demand has waited for its piece; 0 if there is none. */
  demandWaitedMs: number;
  /** Milliseconds since a block last arrived or, if none has, since the torrent was added. */
  msSinceProgress: number;
}

/** Events of a torrent. After "error" the torrent does nothing more but wait for `close`. */
export interface TorrentEvents {
  info: [TorrentInfo];
  /** The data is open: from now on `have` says what is here. */
  opened: [];
  /** A piece was verified and is on disk. */
  piece: [index: number];
  /** All pieces are verified and on disk. */
  complete: [];
  /** The torrent cannot go on: a disk error, or an info dictionary that does not fit. */
  error: [Error];
  /** A source could not give what it was asked for; it is asked again after a while, unless this is a SourceRejected. */
  sourceError: [PieceSource, Error];
}
