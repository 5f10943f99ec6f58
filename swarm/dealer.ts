/**
 * Which pieces a complete node suggests to which of its takers (BEP 6): pure bookkeeping. While nobody else has
 * everything, each piece should go out once before any goes out twice, so that the takers can trade. Nothing is hidden:
 * a taker that asks for another piece gets it.
 *
 * A piece that was suggested is in its taker's hand until the taker has it.
 */
import type { Bitfield } from "./bitfield.ts";

/** Pieces looked at for one suggestion; of very many, one of the rarer ones is good enough. */
const piecesLookedAtMax = 4_096;
/** A piece in a hand for this long counts no more: its taker may be slow, or not mind suggestions. */
const handMsMax = 8_000;

interface InHand {
  sinceMs: number;
  /** It counts among those under way. */
  counts: boolean;
  /** It was dealt, and not asked for unbidden. */
  wasDealt: boolean;
}

/** What a taker was dealt, or has asked for, and does not have yet. */
interface Hand {
  pieces: Map<number, InHand>;
  /** How many of them count. */
  counted: number;
  /** Some of them were dealt, and not only asked for. */
  wasDealt: boolean;
}

export class Dealer<Taker extends object> {
  readonly #pieceCount: number;
  readonly #random: () => number;
  /** How many takers have each piece, or have it in hand. */
  readonly #copies: Uint32Array;
  readonly #hands = new Map<Taker, Hand>();
  /** All pieces in random order. */
  readonly #order: Uint32Array;

  constructor(pieceCount: number, random: () => number) {
    this.#pieceCount = pieceCount;
    this.#random = random;
    this.#copies = new Uint32Array(pieceCount);
    this.#order = Uint32Array.from({ length: pieceCount }, (_, index) => index);
    for (let at = pieceCount - 1; at > 0; at--) {
      const other = Math.floor(random() * (at + 1));
      [this.#order[at], this.#order[other]] = [this.#order[other]!, this.#order[at]!];
    }
  }

  /** Pieces in a taker's hand. */
  handOf(taker: Taker): number {
    return this.#hands.get(taker)?.counted ?? 0;
  }

  /** Pieces in all hands together that came there at a time or later: dealt, and asked for unbidden. */
  inHandsSince(atMs: number): { dealt: number; unbidden: number } {
    const count = { dealt: 0, unbidden: 0 };
    for (const { pieces } of this.#hands.values()) {
      for (const { counts, wasDealt, sinceMs } of pieces.values()) {
        if (counts && sinceMs >= atMs) count[wasDealt ? "dealt" : "unbidden"]++;
      }
    }
    return count;
  }

  /** Whether the taker was ever dealt a piece, or asked for one. */
  isKnown(taker: Taker): boolean {
    return this.#hands.has(taker);
  }

  /** Whether the taker was ever dealt a piece. */
  wasDealt(taker: Taker): boolean {
    return this.#hands.get(taker)?.wasDealt ?? false;
  }

  /** A taker has one more piece. True if that was in its hand. */
  addPiece(taker: Taker, index: number): boolean {
    const hand = this.#hands.get(taker);
    const inHand = hand?.pieces.get(index);
    if (hand && inHand) {
      if (inHand.counts) this.#uncount(hand, index, inHand);
      hand.pieces.delete(index);
    }
    this.#copies[index]!++;
    return inHand !== undefined;
  }

  /** A taker has a piece no more. */
  removePiece(index: number): void {
    this.#copies[index]!--;
  }

  /** A taker is gone. */
  remove(taker: Taker, has: Bitfield): void {
    for (let index = 0; index < has.size; index++) if (has.has(index)) this.#copies[index]!--;
    const hand = this.#hands.get(taker);
    if (!hand) return;
    for (const [index, inHand] of hand.pieces) if (inHand.counts) this.#uncount(hand, index, inHand);
    this.#hands.delete(taker);
  }

  /** A taker asks for a piece that it lacks. */
  asked(taker: Taker, index: number, nowMs: number): void {
    if (!this.#hands.get(taker)?.pieces.get(index)?.counts) this.#take(taker, index, nowMs, false);
  }

  /** The piece to suggest to a taker that has the pieces `has`: one of which the fewest copies are out. */
  deal(taker: Taker, has: Bitfield, nowMs: number): number | undefined {
    const index = this.#rarest(has, this.#hands.get(taker)?.pieces);
    if (index === undefined) return undefined;
    this.#take(taker, index, nowMs, true);
    return index;
  }

  /** What has been in a hand for too long is dealt anew, to others. */
  expire(nowMs: number): void {
    for (const hand of this.#hands.values()) {
      for (const [index, inHand] of hand.pieces) {
        if (inHand.counts && nowMs - inHand.sinceMs > handMsMax) this.#uncount(hand, index, inHand);
      }
    }
  }

  #take(taker: Taker, index: number, nowMs: number, wasDealt: boolean): void {
    let hand = this.#hands.get(taker);
    if (!hand) {
      hand = { pieces: new Map(), counted: 0, wasDealt: false };
      this.#hands.set(taker, hand);
    }
    hand.pieces.set(index, { sinceMs: nowMs, counts: true, wasDealt });
    hand.counted++;
    hand.wasDealt ||= wasDealt;
    this.#copies[index]!++;
  }

  #uncount(hand: Hand, index: number, inHand: InHand): void {
    inHand.counts = false;
    hand.counted--;
    this.#copies[index]!--;
  }

  #rarest(has: Bitfield, hand: ReadonlyMap<number, InHand> | undefined): number | undefined {
    const start = Math.floor(this.#random() * this.#pieceCount);
    let best: number | undefined;
    let bestCopies = Number.POSITIVE_INFINITY;
    for (let step = 0; step < Math.min(this.#pieceCount, piecesLookedAtMax); step++) {
      const index = this.#order[(start + step) % this.#pieceCount]!;
      const copies = this.#copies[index]!;
      if (copies >= bestCopies || has.has(index) || hand?.has(index)) continue;
      best = index;
      bestCopies = copies;
      if (copies === 0) break;
    }
    return best;
  }
}
