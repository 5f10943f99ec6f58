/**
 * How many more blocks may be asked for, of all peers together: a few, and what comes in within a second. More would only
 * wait for each other on our own link, and keep rare pieces waiting among them.
 */
import { blockBytes } from "./limits.ts";
import type { RateMeter } from "./rate.ts";

const requestsLiveMin = 32;
const liveSeconds = 1;
/** But a peer is asked for so many at the least. */
const idleRoom = 1;
/** How long a count is good for. */
const roomMs = 5;

interface Requestee {
  readonly requestsLive: number;
  readonly down: RateMeter;
}

export class RequestRoom {
  readonly #peers: ReadonlySet<Requestee>;
  /** As of a moment ago. */
  #room = 0;
  #countedAtMs = Number.NEGATIVE_INFINITY;

  constructor(peers: ReadonlySet<Requestee>) {
    this.#peers = peers;
  }

  /** Blocks that the peer may be asked for. */
  leftFor(peer: Requestee, nowMs: number): number {
    if (nowMs - this.#countedAtMs >= roomMs) this.#count(nowMs);
    return Math.max(this.#room, idleRoom - peer.requestsLive);
  }

  /** So many were asked for. */
  take(blocks: number): void {
    this.#room -= blocks;
  }

  #count(nowMs: number): void {
    this.#countedAtMs = nowMs;
    let live = 0;
    let bytesPerSecond = 0;
    for (const { requestsLive, down } of this.#peers) {
      live += requestsLive;
      bytesPerSecond += down.bytesPerSecond(nowMs);
    }
    this.#room = requestsLiveMin + Math.ceil((bytesPerSecond * liveSeconds) / blockBytes) - live;
  }
}
