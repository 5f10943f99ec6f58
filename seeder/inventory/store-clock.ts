/**
 * How far the store's clock is ahead of this machine's: reports are timed by one clock for all seeders, so that a node is
 * lost at all of them alike.
 */

/** Looks at the store's clock that are remembered: the quickest of them says it best. */
const looksMax = 30;
/** Clocks that have moved against each other by more than what looks can err have been set. */
const stepMsMin = 100;

interface Look {
  aheadMs: number;
  /** By how much that may be wrong. */
  errorMs: number;
}

export class StoreClock {
  #looks: Look[] = [];
  #best: Look = { aheadMs: 0, errorMs: 0 };

  /** The store said `storeMs` at some time between `askedMs` and `answeredMs` here. */
  looked(askedMs: number, storeMs: number, answeredMs: number): void {
    const look = { aheadMs: storeMs - (askedMs + answeredMs) / 2, errorMs: Math.abs(answeredMs - askedMs) / 2 };
    const best = this.#best;
    const isSet = Math.abs(look.aheadMs - best.aheadMs) > look.errorMs + best.errorMs + stepMsMin;
    this.#looks = isSet ? [look] : [...this.#looks.slice(1 - looksMax), look];
    this.#best = this.#looks.reduce((best, other) => (other.errorMs < best.errorMs ? other : best));
  }

  /** A time here, by the store's clock. */
  toStore(ms: number): number {
    return ms + this.#best.aheadMs;
  }

  /** A time by the store's clock, here. */
  fromStore(ms: number): number {
    return ms - this.#best.aheadMs;
  }
}
