/**
 * Deadlines of pieces, and whom to ask beside a peer that lets one pass: decisions, pure but for the time they are told.
 *
 * A piece is late once it takes several times as long as pieces of its torrent usually do. What is still to come of it is
 * then asked of another peer too, of those that there is nothing else to ask for: the one with the shortest queue. Whose
 * answer comes first is taken, the other request is cancelled.
 */
import {
  hedgeBlocksMax,
  hedgedBlocksMin,
  hedgedShareMax,
  hedgeRequestersMax,
  pieceDeadlineFactor,
  pieceDeadlineMsFirst,
  pieceDeadlineMsMax,
  pieceDeadlineMsMin,
} from "./limits.ts";
import type { PieceSet } from "./locality.ts";
import type { Block } from "./wire.ts";

/** Pieces whose times say what is usual. */
const timesKept = 32;

/** A peer that may be asked for more, and that there is nothing else to ask for. */
export interface Helper<Requester> {
  requester: Requester;
  has: PieceSet;
  /** Blocks that it is asked for already. */
  queuedBlocks: number;
  /** Blocks that it may be asked for besides. */
  roomBlocks: number;
  /** How long it takes to answer. */
  answerMs: number;
}

/** Blocks to ask of one peer, all of one piece. */
export interface Hedge<Requester> {
  requester: Requester;
  blocks: Block[];
}

/**
 * Up to `count` blocks of a piece that are asked of somebody else, of fewer than `requestersMax`, and from now on of this
 * requester too: the picker's part.
 */
export type TakeBlocks<Requester> = (
  requester: Requester,
  index: number,
  count: number,
  requestersMax: number,
) => Block[];

export class Hedges {
  /** When each piece that is being fetched was begun; the oldest first. */
  readonly #begun = new Map<number, number>();
  /** What the last pieces took, in milliseconds, in a ring. */
  readonly #times: number[] = [];
  #timesAt = 0;
  #deadlineMs = pieceDeadlineMsFirst;
  #hedgedBlocks = 0;
  #receivedBlocks = 0;

  /** Milliseconds from a piece's beginning after which it is late. */
  get deadlineMs(): number {
    return this.#deadlineMs;
  }

  /** Blocks asked of one more peer so far. */
  get hedgedBlocks(): number {
    return this.#hedgedBlocks;
  }

  begin(index: number, nowMs: number): void {
    this.#begun.set(index, nowMs);
  }

  /** The piece is whole. */
  done(index: number, nowMs: number): void {
    const begunAtMs = this.#begun.get(index);
    this.#begun.delete(index);
    if (begunAtMs === undefined) return;
    // What was late does not say what is usual. Where everything is, the deadline follows, but slowly.
    this.#times[this.#timesAt] = Math.min(nowMs - begunAtMs, this.#deadlineMs / 2);
    this.#timesAt = (this.#timesAt + 1) % timesKept;
    const wantedMs = pieceDeadlineFactor * medianOf(this.#times);
    this.#deadlineMs = Math.min(Math.max(wantedMs, pieceDeadlineMsMin), pieceDeadlineMsMax);
  }

  /** The piece has to be fetched anew. */
  drop(index: number): void {
    this.#begun.delete(index);
  }

  countReceived(): void {
    this.#receivedBlocks++;
  }

  /** Whether any piece is late. */
  isLate(nowMs: number): boolean {
    for (const begunAtMs of this.#begun.values()) return nowMs - begunAtMs >= this.#deadlineMs;
    return false;
  }

  /** What to ask of whom now: of the latest piece first. */
  choose<Requester>(
    nowMs: number,
    helpers: readonly Helper<Requester>[],
    take: TakeBlocks<Requester>,
  ): Hedge<Requester>[] {
    const hedges: Hedge<Requester>[] = [];
    // Who is as slow itself would only be in the way of others.
    const free = helpers.filter(({ answerMs }) => answerMs < this.#deadlineMs).map((helper) => ({ ...helper }));
    for (const [index, begunAtMs] of this.#begun) {
      const deadlinesPassed = Math.floor((nowMs - begunAtMs) / this.#deadlineMs);
      if (deadlinesPassed < 1) break;
      const requestersMax = Math.min(1 + deadlinesPassed, hedgeRequestersMax);
      for (const helper of free.sort(byQueue)) {
        const count = Math.min(helper.roomBlocks, hedgeBlocksMax, this.#allowance());
        if (count <= 0 || !helper.has.has(index)) continue;
        const blocks = take(helper.requester, index, count, requestersMax);
        if (blocks.length === 0) continue;
        helper.roomBlocks -= blocks.length;
        helper.queuedBlocks += blocks.length;
        this.#hedgedBlocks += blocks.length;
        hedges.push({ requester: helper.requester, blocks });
      }
    }
    return hedges;
  }

  /** Each of them may come twice, so there is a bound to them. */
  #allowance(): number {
    return hedgedBlocksMin + Math.floor(this.#receivedBlocks * hedgedShareMax) - this.#hedgedBlocks;
  }
}

function byQueue(a: Helper<unknown>, b: Helper<unknown>): number {
  return a.queuedBlocks - b.queuedBlocks || a.answerMs - b.answerMs;
}

function medianOf(figures: readonly number[]): number {
  const sorted = [...figures].sort((a, b) => a - b);
  return sorted[sorted.length >> 1]!;
}
