import type { AssemblyBudget } from "./assembly-budget.ts";
import type { Adopter } from "./connections.ts";
import type { LastDemand } from "./demand.ts";
import type { Peer, PeerOwner } from "./peer.ts";
import type { Clock, Endpoint, OpenStorage, Pace, SwarmLog } from "./types.ts";

/** What the swarm gives each of its torrents. */
export interface TorrentHost {
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: SwarmLog;
  /** 20 bytes. */
  readonly peerId: Uint8Array;
  readonly peerPort: number;
  /** Where this node is; nodes of the same zone are preferred. */
  readonly zone?: string | undefined;
  readonly budget: AssemblyBudget;
  /** When anything was last waited for, over all torrents. */
  readonly lastDemand: LastDemand;
  /** What may be asked for of all torrents together. */
  readonly downloadLimit: Pace;
  readonly openStorage: OpenStorage;
  /** Connects to a peer on behalf of the torrent; undefined if there is no place for it. */
  connect(endpoint: Endpoint, owner: PeerOwner & Adopter): Peer | undefined;
  /** Looks up peers in the DHT and announces the torrent; `onFailed` is called if that reached nobody. */
  announce(infohash: string, onFailed: () => void): void;
  strike(peer: Peer, reason: string): void;
  /** Notes a bad piece of the peer; how many those of its address have sent by now, over all torrents. */
  blame(peer: Peer): number;
  isStruck(endpoint: Endpoint): boolean;
  /** Whether the address is this very node's. */
  isOwn(endpoint: Endpoint): boolean;
  /** The address was dialled, and it was this very node that answered. */
  noteOwn(endpoint: Endpoint): void;
  /** Payload that came and went, for the node's totals. */
  countReceived(bytes: number): void;
  countSent(bytes: number): void;
  countVerifyFailure(): void;
  /** A piece that is said to be here cannot be read. */
  readFailed(infohash: string, index: number, error: Error): void;
  /** Payload that came and was not needed, and blocks asked of one more peer for being late. */
  countWasted(bytes: number): void;
  countHedged(blocks: number): void;
  /** Payload that somebody waited for. */
  countDemanded(bytes: number, from: "peer" | "source"): void;
  /** Whether late pieces are asked of others, too: always, but in a simulation that shows what it would be like without. */
  readonly hedging?: boolean | undefined;
  /** The torrent is closed. */
  removed(infohash: string): void;
}
