/** Types for what we use of libraries that come without. */

declare module "bencode" {
  export type Bencodable = number | bigint | string | Uint8Array | Bencodable[] | { [key: string]: Bencodable };
  interface Bencode {
    encode(value: Bencodable): Uint8Array;
    /** Byte strings come as Uint8Array. Throws on malformed input; bytes after the value are passed over. */
    decode(data: Uint8Array): unknown;
  }
  const bencode: Bencode;
  export default bencode;
}

declare module "bittorrent-dht" {
  import { EventEmitter } from "node:events";

  export interface DhtOptions {
    bootstrap: readonly string[] | false;
    nodeId?: Uint8Array | string;
    host?: string | false;
    concurrency?: number;
    timeBucketOutdated?: number;
    maxAge?: number;
    maxTables?: number;
    maxPeers?: number;
  }

  export class Client extends EventEmitter {
    constructor(options: DhtOptions);
    readonly destroyed: boolean;
    readonly nodes: { count(): number };
    listen(port: number, address: string, onListening?: () => void): void;
    address(): { address: string; port: number };
    addNode(node: { host: string; port: number }): void;
    toJSON(): { nodes: { host: string; port: number }[] };
    announce(infoHash: string, port: number, callback?: (error: Error | null) => void): void;
    lookup(infoHash: string, callback?: (error: Error | null, nodesFound: number) => void): () => void;
    destroy(callback?: () => void): void;
  }
}
