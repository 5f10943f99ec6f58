/**
 * Whether a small read is to be made at once, on the event loop, or by a thread. At once is several times cheaper while the
 * kernel has the bytes in memory; where it has not, everybody waits for the disk. Nothing tells beforehand (RWF_NOWAIT and
 * mincore are out of reach), but what reads took tells afterwards: those of memory take microseconds.
 *
 * Reads are made at once while they were quick. A few slow ones, or one that is very slow, and threads do the waiting; from
 * time to time one read is made at once to see, the more seldom the more often that was slow.
 */

/** Slower than this the bytes came from a disk, or the thread was not scheduled; copying is bounded by `bytesPerMs`. */
const quickMs = 0.06;
const bytesPerMs = 1_000_000;
/** Nobody should wait so long behind another's read. */
const verySlowMs = 2;
/** What a slow read costs of the credit, and a quick one earns. */
const slowCost = 8;
const creditMax = 64;
/** Reads by threads between two that are made to see. */
const restReadsMin = 32;
const restReadsMax = 4_096;

export class QuickReads {
  #credit = creditMax;
  #restReads = restReadsMin;
  #untilProbe = 0;

  /** Whether the next read is to be made at once. */
  mayRead(): boolean {
    if (this.#credit > 0) return true;
    this.#untilProbe -= 1;
    return this.#untilProbe < 0;
  }

  /** A read was made at once, and took so long. */
  note(bytes: number, tookMs: number): void {
    const wasQuick = tookMs <= quickMs + bytes / bytesPerMs;
    if (this.#credit > 0) {
      if (wasQuick) this.#credit = Math.min(creditMax, this.#credit + 1);
      else this.#credit = tookMs > verySlowMs ? 0 : Math.max(0, this.#credit - slowCost);
      if (this.#credit === 0) this.#untilProbe = this.#restReads;
      return;
    }
    // It was made to see.
    if (wasQuick) {
      this.#credit = slowCost;
      this.#restReads = restReadsMin;
    } else {
      this.#restReads = Math.min(2 * this.#restReads, restReadsMax);
      this.#untilProbe = this.#restReads;
    }
  }
}
