/** The blocks that one peer is asked for: which are in flight, how long it takes to answer, and how many to ask it for. */
import {
  blockBytes,
  requestsInFlightMax,
  requestsInFlightMin,
  requestTimeoutMsMax,
  requestTimeoutMsMin,
} from "./limits.ts";
import type { RateMeter } from "./rate.ts";
import type { Block } from "./wire.ts";

/** Requests to have in flight before the rate is known, and beyond what the rate says. */
const requestsAhead = 4;
/** How many seconds of a peer's rate are asked for ahead. */
const secondsAhead = 0.4;

/** The share of the last block in the average of what a block takes, inverted, and the least that a first one counts. */
const blockMsShare = 16;
const blockMsMin = 0.01;

/** How long a queue's depth is good for: it is asked for with every block. */
const depthMs = 10;

interface InFlight extends Block {
  sentAtMs: number;
  /** Given up: others may be asked. What comes all the same is still taken. */
  released: boolean;
}

export class Requests {
  readonly #down: RateMeter;
  readonly #inFlight = new Map<number, InFlight>();
  #live = 0;
  /** From request to answer, as of the last one. */
  #answerMs = 0;
  #answerMsMin = Number.POSITIVE_INFINITY;
  #blockMs = 0;
  #depth = requestsInFlightMin;
  #depthAtMs = Number.NEGATIVE_INFINITY;
  #lastBlockAtMs: number;

  /** @param down what comes from the peer; `arrived` adds to it */
  constructor(down: RateMeter, nowMs: number) {
    this.#down = down;
    this.#lastBlockAtMs = nowMs;
  }

  /** Requests that are neither answered nor given up. */
  get live(): number {
    return this.#live;
  }

  /** When the last block came, or the first was asked for that nothing else was in flight with. */
  get lastBlockAtMs(): number {
    return this.#lastBlockAtMs;
  }

  /** The quickest answer to a request so far: the way there and back, as good as; infinite if there was none. */
  get answerMsMin(): number {
    return this.#answerMsMin;
  }

  /** What a block takes while the peer is at work for us, averaged; 0 if it has sent none. */
  get blockMs(): number {
    return this.#blockMs;
  }

  /** How long it takes to answer a request: the last one, or the one that waits for longer already. */
  answerMs(nowMs: number): number {
    for (const { sentAtMs } of this.#inFlight.values()) return Math.max(this.#answerMs, nowMs - sentAtMs);
    return this.#answerMs;
  }

  /** How many requests to keep in flight: a few, and what the peer sends in `secondsAhead`. */
  depth(nowMs: number): number {
    if (nowMs - this.#depthAtMs < depthMs) return this.#depth;
    this.#depthAtMs = nowMs;
    const ahead = Math.ceil((this.#down.bytesPerSecond(nowMs) * secondsAhead) / blockBytes) + requestsAhead;
    this.#depth = Math.max(requestsInFlightMin, Math.min(requestsInFlightMax, ahead));
    return this.#depth;
  }

  /** Blocks are asked for now, some of them perhaps again. */
  add(blocks: readonly Block[], nowMs: number): void {
    if (this.#live === 0) this.#lastBlockAtMs = nowMs;
    for (const { index, begin, length } of blocks) {
      const key = keyOf(index, begin);
      if (this.#inFlight.get(key)?.released !== false) this.#live++;
      // To the end of the line: the map's order is that of time.
      this.#inFlight.delete(key);
      this.#inFlight.set(key, { index, begin, length, sentAtMs: nowMs, released: false });
    }
  }

  /** Whether the block was asked of this peer, given up since or not. */
  isAsked(index: number, begin: number, length: number): boolean {
    return this.#find(index, begin)?.length === length;
  }

  /** The block has come, or was refused: it is not in flight any more. False if it never was. */
  settle(index: number, begin: number, nowMs: number): boolean {
    const sentAtMs = this.#remove(index, begin);
    if (sentAtMs === undefined) return false;
    this.#answerMs = nowMs - sentAtMs;
    this.#answerMsMin = Math.min(this.#answerMsMin, this.#answerMs);
    return true;
  }

  /**
   * The block is not needed any more: it is not in flight either. False if it never was. How soon that came is no answer of
   * the peer's; only how long it has let us wait is known.
   */
  cancel(index: number, begin: number, nowMs: number): boolean {
    const sentAtMs = this.#remove(index, begin);
    if (sentAtMs === undefined) return false;
    this.#answerMs = Math.max(this.#answerMs, nowMs - sentAtMs);
    return true;
  }

  /** Takes note of an asked block's arrival. */
  arrived(bytes: number, nowMs: number): void {
    const tookMs = Math.min(nowMs - this.#lastBlockAtMs, this.#answerMs);
    // Several at once come in no time: together they took as long as the first of them.
    this.#blockMs =
      this.#blockMs === 0 ? Math.max(tookMs, blockMsMin) : this.#blockMs + (tookMs - this.#blockMs) / blockMsShare;
    this.#lastBlockAtMs = nowMs;
    this.#down.add(bytes, nowMs);
  }

  /** Gives up what is in flight since before a time, so that others can be asked; what comes late is still taken. */
  release(sentBeforeMs = Number.POSITIVE_INFINITY): Block[] {
    const released: Block[] = [];
    for (const request of this.#inFlight.values()) {
      if (request.sentAtMs >= sentBeforeMs) break;
      if (request.released) continue;
      request.released = true;
      this.#live--;
      released.push(request);
    }
    return released;
  }

  /** Whether requests are in flight and nothing has come for too long, as measured by the peer's own rate. */
  isOverdue(nowMs: number): boolean {
    if (this.#live === 0) return false;
    const bytesPerSecond = this.#down.bytesPerSecond(nowMs);
    const expectedMs = bytesPerSecond > 0 ? (4_000 * blockBytes) / bytesPerSecond : requestTimeoutMsMax / 2;
    const timeoutMs = Math.max(requestTimeoutMsMin, Math.min(requestTimeoutMsMax, expectedMs));
    return nowMs - this.#lastBlockAtMs > timeoutMs;
  }

  /** When the block was asked for; undefined if it never was. */
  #remove(index: number, begin: number): number | undefined {
    const request = this.#find(index, begin);
    if (!request) return undefined;
    if (!request.released) this.#live--;
    this.#inFlight.delete(keyOf(index, begin));
    return request.sentAtMs;
  }

  #find(index: number, begin: number): InFlight | undefined {
    const request = this.#inFlight.get(keyOf(index, begin));
    return request?.index === index && request.begin === begin ? request : undefined;
  }
}

/** One number for a block: pieces have at most 4,096 blocks of 16 KiB. */
function keyOf(index: number, begin: number): number {
  return index * 4_096 + begin / blockBytes;
}
