/**
 * How many more blocks may be asked for, of all peers together: a few, and what comes in within a second. More would only
 * wait for each other on our own link, and keep rare pieces waiting among them.
 */
import { blockBytes } from "./limits.ts";
import type { RateMeter } from "./rate.ts";

const usual: RoomBound = { blocks: 32, seconds: 1, idleBlocks: 1 };
/** How long a count is good for. */
const roomMs = 5;

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
  readonly down: RateMeter;
}

export class RequestRoom {
  readonly #peers: ReadonlySet<Requestee>;
  /** As of a moment ago. */
  #live = 0;
  #bytesPerSecond = 0;
  #countedAtMs = Number.NEGATIVE_INFINITY;

  constructor(peers: ReadonlySet<Requestee>) {
    this.#peers = peers;
  }

  /** Blocks that the peer may be asked for. */
  leftFor(peer: Requestee, nowMs: number, bound: RoomBound = usual): number {
    if (nowMs - this.#countedAtMs >= roomMs) this.#count(nowMs);
    const room = bound.blocks + Math.ceil((this.#bytesPerSecond * bound.seconds) / blockBytes) - this.#live;
    return Math.max(room, bound.idleBlocks - peer.requestsLive);
  }

  /** So many were asked for. */
  take(blocks: number): void {
    this.#live += blocks;
  }

  #count(nowMs: number): void {
    this.#countedAtMs = nowMs;
    this.#live = 0;
    this.#bytesPerSecond = 0;
    for (const { requestsLive, down } of this.#peers) {
      this.#live += requestsLive;
      this.#bytesPerSecond += down.bytesPerSecond(nowMs);
    }
  }
}
