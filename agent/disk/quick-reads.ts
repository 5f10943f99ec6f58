/**
 * Whether a small read is to be made at once, on the event loop, or by a thread. At once is several times cheaper while the
 * kernel has the bytes in memory; where it has not, everybody waits for the disk. Nothing tells beforehand (RWF_NOWAIT and
 * mincore are out of reach), but what reads took tells afterwards: those of memory take microseconds.
 *
 * Reads are made at once while they were quick. A few slow ones, or two that were very slow, and threads do the waiting; from
 * time to time one read is made at once to see, the more seldom the more often that was slow.
 */

/** Slower than this the bytes came from a disk, or the thread was not scheduled; copying is bounded by `bytesPerMs`. */
export const memoryQuickMs = 0.06;
/**
 * What a fast disk takes. The way to a thread and back takes longer than half of it, more where threads wait for a processor:
 * one such read in a turn of the event loop keeps others waiting no longer than they would be anyway.
 */
export const diskQuickMs = 0.5;
const bytesPerMs = 1_000_000;
/** Nobody should wait so long behind another's read, but a thread that others kept from its processor has: not one at once. */
const verySlowMs = 2;
/** What a slow read costs of the credit, and a quick one earns. */
const slowCost = 8;
const creditMax = 64;
const verySlowCost = creditMax / 2;
/** Reads by threads between two that are made to see. */
const restReadsMin = 32;
const restReadsMax = 4_096;

export class QuickReads {
  readonly #quickMs: number;
  #credit = creditMax;
  #restReads = restReadsMin;
  #untilProbe = 0;
  /** Reads in a row that were made at once for another reason and were quick. */
  #quickByChance = 0;

  /** @param quickMs what a quick read takes at most */
  constructor(quickMs = memoryQuickMs) {
    this.#quickMs = quickMs;
  }

  /** Whether the next read is to be made at once. */
  mayRead(): boolean {
    if (this.#credit > 0) return true;
    this.#untilProbe -= 1;
    return this.#untilProbe < 0;
  }

  /** A read was made at once since it might be, and took so long. */
  note(bytes: number, tookMs: number): void {
    const wasQuick = this.#isQuick(bytes, tookMs);
    if (this.#credit > 0) {
      const cost = tookMs > verySlowMs ? verySlowCost : slowCost;
      this.#credit = wasQuick ? Math.min(creditMax, this.#credit + 1) : Math.max(0, this.#credit - cost);
      if (this.#credit === 0) this.#untilProbe = this.#restReads;
      return;
    }
    // It was made to see.
    if (wasQuick) {
      this.#goOn();
    } else {
      this.#restReads = Math.min(2 * this.#restReads, restReadsMax);
      this.#untilProbe = this.#restReads;
    }
  }

  /** A read was made at once though it might not be, and took so long. */
  noteOther(bytes: number, tookMs: number): void {
    this.#quickByChance = this.#isQuick(bytes, tookMs) ? this.#quickByChance + 1 : 0;
    if (this.#quickByChance >= slowCost) this.#goOn();
  }

  #goOn(): void {
    this.#credit = slowCost;
    this.#restReads = restReadsMin;
    this.#quickByChance = 0;
  }

  #isQuick(bytes: number, tookMs: number): boolean {
    return tookMs <= this.#quickMs + bytes / bytesPerMs;
  }
}
