/** Types for what imports use of libraries that come without. */

declare module "parse-torrent" {
  export interface ParsedTorrent {
    infoHash: string;
    announce?: string[];
    /** Web seeds (BEP 19): url-list, or a magnet link's ws. */
    urlList?: string[];
    /** A magnet link's x.pe, "HOST:PORT". */
    peerAddresses?: string[];
    /** Absent for a magnet link. */
    files?: { path: string; name: string; length: number; offset: number }[];
    pieceLength?: number;
    pieces?: string[];
  }
  /** Rejects for what is no torrent. */
  export default function parseTorrent(torrent: string | Uint8Array): Promise<ParsedTorrent>;
}

declare module "torrent-stream" {
  import type { EventEmitter } from "node:events";
  import type { Readable } from "node:stream";

  type Callback<T> = (error: Error | null, value?: T) => void;

  /** The abstract-chunk-store interface, as far as torrent-stream calls it. */
  interface ChunkStore {
    put(index: number, piece: Buffer, callback?: Callback<void>): void;
    get(index: number, range: { offset: number; length: number } | null, callback: Callback<Buffer>): void;
    close(callback?: Callback<void>): void;
    destroy(callback?: Callback<void>): void;
  }

  /** A connection that has passed its handshake. */
  interface Wire extends EventEmitter {
    peerAddress: string | null;
    downloaded: number;
    /** Waits for `size` bytes and hands them to `parser`. */
    _parse(size: number, parser: (bytes: Buffer) => void): void;
  }

  interface TorrentFile {
    name: string;
    path: string;
    length: number;
    offset: number;
    createReadStream(range?: { start: number; end: number }): Readable;
  }

  interface Engine extends EventEmitter {
    files: TorrentFile[];
    /** Null until the metadata is known. */
    torrent: { pieceLength: number; length: number; pieces: string[] } | null;
    swarm: EventEmitter & { wires: Wire[]; downloaded: number };
    connect(address: string): void;
    destroy(callback?: () => void): void;
    listen(port: number, callback?: () => void): void;
    port: number;
  }

  interface Options {
    connections?: number;
    uploads?: number | false;
    tmp?: string;
    path?: string;
    verify?: boolean;
    dht?: boolean;
    tracker?: boolean;
    trackers?: string[];
    storage?: (pieceLength: number) => ChunkStore;
  }

  function torrentStream(torrent: string | Buffer, options: Options): Engine;
  namespace torrentStream {
    export type { ChunkStore, Engine, Options, TorrentFile, Wire };
  }
  export = torrentStream;
}
