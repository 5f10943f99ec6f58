/**
 * How many more blocks may be asked for, of all peers together: a few, and what comes in within a second. More would only
 * wait for each other on our own link, and keep rare pieces waiting among them.
 *
 * In a large crowd far less is enough to keep a link busy, for there is always somebody who has a piece and time. What is
 * under way waits in others' queues, and each piece waits so at every hop on its way through the crowd.
 */
import { blockBytes } from "./limits.ts";
import { RateMeter } from "./rate.ts";

const usual: RoomBound = { blocks: 32, seconds: 1, idleBlocks: 1 };
const inCrowd: RoomBound = { blocks: 16, seconds: 0.15, idleBlocks: 1 };
/** Neighbours that make a crowd. */
const crowdPeers = 40;
/** How long a count is good for: what is cancelled or given up is not noted here. */
const roomMs = 25;

/** How much may be asked for. */
export interface RoomBound {
  /** So many blocks, and what comes in so many seconds. */
  blocks: number;
  seconds: number;
  /** But a peer is asked for so many at the least. */
  idleBlocks: number;
}

interface Requestee {
  readonly requestsLive: number;
  readonly requests: { readonly live: number; depth(nowMs: number): number };
}

export class RequestRoom {
  readonly #peers: ReadonlySet<Requestee>;
  /** What comes from all of them. It is asked for with every block: to add it up over the peers would cost too much. */
  readonly #down: RateMeter;
  /** As of a moment ago. */
  #live = 0;
  #countedAtMs = Number.NEGATIVE_INFINITY;

  constructor(peers: ReadonlySet<Requestee>, nowMs: number) {
    this.#peers = peers;
    this.#down = new RateMeter(nowMs);
  }

  /** Blocks that the peer may be asked for. */
  leftFor(peer: Requestee, nowMs: number, bound?: RoomBound): number {
    if (nowMs - this.#countedAtMs >= roomMs) this.#count(nowMs);
    const { blocks, seconds, idleBlocks } = bound ?? (this.#peers.size < crowdPeers ? usual : inCrowd);
    const room = blocks + Math.ceil((this.#down.bytesPerSecond(nowMs) * seconds) / blockBytes) - this.#live;
    return Math.max(room, idleBlocks - peer.requestsLive);
  }

  /** A block that was asked for has come. */
  arrived(bytes: number, nowMs: number): void {
    this.#down.add(bytes, nowMs);
    this.#live--;
  }

  /** So many were asked for. */
  take(blocks: number): void {
    this.#live += blocks;
  }

  #count(nowMs: number): void {
    this.#countedAtMs = nowMs;
    this.#live = 0;
    // Who was asked for much while it was quick, as the seeder by its first taker, must not keep others from being asked.
    for (const { requests } of this.#peers) this.#live += Math.min(requests.live, requests.depth(nowMs));
  }
}
