/**
 * How many more blocks may be asked for, of all peers together: a few, and what comes in within a second. More would only
 * wait for each other on our own link, and keep rare pieces waiting among them.
 *
 * In a large crowd far less is enough to keep a link busy, for there is always somebody who has a piece and time. What is
 * under way waits in others' queues, and each piece waits so at every hop on its way through the crowd.
 *
 * There each peer is also asked for its share at the most, which on most links is one block. Where whoever had answered was
 * asked for more at once, all that was under way ended up with those who have the most neighbours: their queues grew to two
 * megabytes, behind which their own requests waited, and the links of those with fewer neighbours stood still.
 */
import { blockBytes } from "./limits.ts";
import { RateMeter } from "./rate.ts";

const usual: RoomBound = { blocks: 32, seconds: 1, idleBlocks: 1 };
const inCrowd: RoomBound = { blocks: 16, seconds: 0.15, idleBlocks: 1, isShared: true };
/** Neighbours that make a crowd: fewer than a torrent looks for, for in a crowd some have just found those. */
const crowdPeers = 28;
/** Of all that may be asked for in a crowd, what one peer may have of it in peers' equal parts. */
const shareMax = 1 / 2;
/**
 * A peer that answers without delay is asked for so many times what is on the way: its rate doubles until it is busy. What the
 * way takes is the quickest answer of any peer: of most peers in a crowd every answer has waited.
 */
const onTheWayFactor = 2;
/** How long a count is good for: what is cancelled or given up is not noted here. */
const roomMs = 25;

/** How much may be asked for. */
export interface RoomBound {
  /** So many blocks, and what comes in so many seconds. */
  blocks: number;
  seconds: number;
  /** But a peer is asked for so many at the least. */
  idleBlocks: number;
  /** A peer is asked for its share at the most, or for one block, and besides for what a long path holds. */
  isShared?: boolean;
}

interface Requestee {
  readonly requestsLive: number;
  readonly requests: { readonly live: number; readonly answerMsMin: number; depth(nowMs: number): number };
  /** What comes from it. */
  readonly down: { bytesPerSecond(nowMs: number): number };
}

export class RequestRoom {
  readonly #peers: ReadonlySet<Requestee>;
  /** What comes from all of them. It is asked for with every block: to add it up over the peers would cost too much. */
  readonly #down: RateMeter;
  /** As of a moment ago: blocks that are asked for, and the quickest answer; infinite if there was none. */
  #live = 0;
  #answerMsMin = Number.POSITIVE_INFINITY;
  #countedAtMs = Number.NEGATIVE_INFINITY;

  constructor(peers: ReadonlySet<Requestee>, nowMs: number) {
    this.#peers = peers;
    this.#down = new RateMeter(nowMs);
  }

  /** Blocks that the peer may be asked for. */
  leftFor(peer: Requestee, nowMs: number, bound?: RoomBound): number {
    if (nowMs - this.#countedAtMs >= roomMs) this.#count(nowMs);
    const { blocks, seconds, idleBlocks, isShared } = bound ?? (this.#peers.size < crowdPeers ? usual : inCrowd);
    const all = blocks + Math.ceil((this.#down.bytesPerSecond(nowMs) * seconds) / blockBytes);
    const left = all - this.#live;
    if (!isShared) return Math.max(left, idleBlocks - peer.requestsLive);
    const share = Math.max(1, Math.floor((all * shareMax) / this.#peers.size));
    const onTheWay = this.#onTheWay(peer, nowMs);
    return Math.min(Math.max(left, idleBlocks + onTheWay - peer.requestsLive), share + onTheWay - peer.requestsLive);
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

  /** Blocks that keep a peer busy which lets none of them wait. */
  #onTheWay({ down }: Requestee, nowMs: number): number {
    if (this.#answerMsMin === Number.POSITIVE_INFINITY) return 0;
    return Math.round((onTheWayFactor * down.bytesPerSecond(nowMs) * this.#answerMsMin) / 1_000 / blockBytes);
  }

  #count(nowMs: number): void {
    this.#countedAtMs = nowMs;
    this.#live = 0;
    for (const { requests } of this.#peers) {
      // Who was asked for much while it was quick, as the seeder by its first taker, must not keep others from being asked.
      this.#live += Math.min(requests.live, requests.depth(nowMs));
      this.#answerMsMin = Math.min(this.#answerMsMin, requests.answerMsMin);
    }
  }
}
