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
  /** The taker has asked for it. */
  isAsked: boolean;
  /** It counts among those on their way. */
  counts: boolean;
}

export class Dealer<Taker extends object> {
  readonly #pieceCount: number;
  readonly #random: () => number;
  /** How many takers have each piece, or have it in hand. */
  readonly #copies: Uint32Array;
  readonly #hands = new Map<Taker, Map<number, InHand>>();
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

  /** A taker has one more piece. */
  addPiece(taker: Taker, index: number): void {
    const inHand = this.#hands.get(taker)?.get(index);
    this.#hands.get(taker)?.delete(index);
    if (!inHand?.counts) this.#copies[index]!++;
  }

  /** A taker has a piece no more. */
  removePiece(index: number): void {
    this.#copies[index]!--;
  }

  /** A taker is gone. */
  remove(taker: Taker, has: Bitfield): void {
    for (let index = 0; index < has.size; index++) if (has.has(index)) this.#copies[index]!--;
    for (const [index, { counts }] of this.#hands.get(taker) ?? []) if (counts) this.#copies[index]!--;
    this.#hands.delete(taker);
  }

  /** A taker asks for a block of a piece that it lacks. True if it is the piece's first. */
  asked(taker: Taker, index: number, nowMs: number): boolean {
    const hand = this.#hand(taker);
    const inHand = hand.get(index);
    if (inHand?.isAsked) return false;
    if (!inHand?.counts) this.#copies[index]!++;
    hand.set(index, { sinceMs: nowMs, isAsked: true, counts: true });
    return true;
  }

  /** Pieces to suggest, so that the taker has `ahead` of them in hand that it has not asked for yet. */
  deal(taker: Taker, has: Bitfield, ahead: number, nowMs: number): number[] {
    const hand = this.#hand(taker);
    let waiting = 0;
    for (const { isAsked, counts } of hand.values()) if (!isAsked && counts) waiting++;
    const dealt: number[] = [];
    for (; waiting < ahead; waiting++) {
      const index = this.#rarest(has, hand);
      if (index === undefined) break;
      hand.set(index, { sinceMs: nowMs, isAsked: false, counts: true });
      this.#copies[index]!++;
      dealt.push(index);
    }
    return dealt;
  }

  /** What has been in a hand for too long is dealt anew, to others. */
  expire(nowMs: number): void {
    for (const hand of this.#hands.values()) {
      for (const [index, inHand] of hand) {
        if (!inHand.counts || nowMs - inHand.sinceMs <= handMsMax) continue;
        inHand.counts = false;
        this.#copies[index]!--;
      }
    }
  }

  #rarest(has: Bitfield, hand: ReadonlyMap<number, InHand>): number | undefined {
    const start = Math.floor(this.#random() * this.#pieceCount);
    let best: number | undefined;
    let bestCopies = Number.POSITIVE_INFINITY;
    for (let step = 0; step < Math.min(this.#pieceCount, piecesLookedAtMax); step++) {
      const index = this.#order[(start + step) % this.#pieceCount]!;
      const copies = this.#copies[index]!;
      if (copies >= bestCopies || has.has(index) || hand.has(index)) continue;
      best = index;
      bestCopies = copies;
      if (copies === 0) break;
    }
    return best;
  }

  #hand(taker: Taker): Map<number, InHand> {
    let hand = this.#hands.get(taker);
    if (!hand) {
      hand = new Map();
      this.#hands.set(taker, hand);
    }
    return hand;
  }
}
