import type { PieceSet } from "./locality.ts";

/** Pieces that nobody has begun with, in random order: pure bookkeeping. */
export class UnopenedPieces {
  readonly #random: () => number;
  readonly #order: number[] = [];
  /** Where each piece is in it; -1 if it is not. */
  readonly #places: Int32Array;

  /** @param random uniform in [0, 1) */
  constructor(pieceCount: number, random: () => number) {
    this.#random = random;
    this.#places = new Int32Array(pieceCount).fill(-1);
  }

  get count(): number {
    return this.#order.length;
  }

  has(index: number): boolean {
    return this.#places[index]! >= 0;
  }

  [Symbol.iterator](): Iterator<number> {
    return this.#order[Symbol.iterator]();
  }

  /** The piece that the fewest peers have, of those in `has`; ties fall at random. */
  rarest(has: PieceSet | undefined, availabilityOf: Uint32Array): number | undefined {
    const count = this.#order.length;
    const start = Math.floor(this.#random() * count);
    let best: number | undefined;
    let bestAvailability = Number.POSITIVE_INFINITY;
    for (let step = 0; step < count; step++) {
      const at = start + step;
      const index = this.#order[at < count ? at : at - count]!;
      const availability = availabilityOf[index]!;
      if (availability >= bestAvailability || (has && !has.has(index))) continue;
      best = index;
      bestAvailability = availability;
      // Of what a peer has, nothing is rarer than what it alone has.
      if (availability <= (has ? 1 : 0)) break;
    }
    return best;
  }

  /** Insertion at a random place keeps the order random: a shuffle, one card at a time. */
  add(index: number): void {
    const at = Math.floor(this.#random() * (this.#order.length + 1));
    const displaced = this.#order[at];
    if (displaced !== undefined) {
      this.#places[displaced] = this.#order.length;
      this.#order.push(displaced);
      this.#order[at] = index;
    } else {
      this.#order.push(index);
    }
    this.#places[index] = at;
  }

  remove(index: number): void {
    const at = this.#places[index]!;
    const last = this.#order.pop()!;
    this.#places[index] = -1;
    if (last === index) return;
    this.#order[at] = last;
    this.#places[last] = at;
  }
}
