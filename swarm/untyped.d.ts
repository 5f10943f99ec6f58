/** Types for what we use of libraries that come without. */

declare module "bencode" {
  export type Bencodable = number | bigint | string | Uint8Array | Bencodable[] | { [key: string]: Bencodable };
  interface Bencode {
    encode(value: Bencodable): Uint8Array;
    /** Only for what we wrote ourselves: it is unsafe on what others send, for which there is bencode.ts. */
    decode(data: Uint8Array): unknown;
  }
  const bencode: Bencode;
  export default bencode;
}

declare module "bittorrent-dht" {
  import { EventEmitter } from "node:events";

  export interface DhtNode {
    id: Uint8Array;
    host: string;
    port: number;
  }

  export type OnAnswer = (error: Error | null, answer: object | null, node: DhtNode) => void;

  export interface DhtOptions {
    bootstrap: readonly string[] | false;
    nodeId?: Uint8Array | string;
    host?: string | false;
    concurrency?: number;
    timeBucketOutdated?: number;
    maxTables?: number;
    /** In place of a dgram socket of its own. */
    socket?: EventEmitter;
  }

  export class Client extends EventEmitter {
    constructor(options: DhtOptions);
    readonly destroyed: boolean;
    /** The routing table. */
    readonly nodes: EventEmitter<{ added: [DhtNode]; removed: [DhtNode]; updated: [DhtNode, DhtNode] }> & {
      count(): number;
      closest(id: Uint8Array, count?: number): unknown[];
      add(node: DhtNode): void;
      remove(id: Uint8Array): void;
    };
    /** Announced peers by infohash, 40 hex digits. */
    _peers: {
      add(infohash: string, peer: Uint8Array): void;
      get(infohash: string, count?: number): Buffer[];
      destroy(): void;
    };
    readonly _rpc: { socket: { query(node: DhtNode, message: object, onAnswer?: OnAnswer): void } };
    listen(port: number, address: string, onListening?: () => void): void;
    address(): { address: string; port: number };
    addNode(node: { host: string; port: number }): void;
    toJSON(): { nodes: { host: string; port: number }[] };
    announce(infoHash: string, port: number, callback?: (error: Error | null) => void): void;
    lookup(infoHash: string, callback?: (error: Error | null, nodesFound: number) => void): () => void;
    destroy(callback?: () => void): void;
  }
}
