/** How much may come at once after a pause: so many milliseconds of the rate. */
const burstMs = 100;

/** A rate shared by all who send: each part is given the time at which it may be sent, in the order of asking. Pure. */
export class ByteRate {
  readonly #bytesPerMs: number;
  /** When all that was promised so far has been sent, at this rate. */
  #freeAtMs = Number.NEGATIVE_INFINITY;

  /** `bytesPerSecond` 0 is no limit. */
  constructor(bytesPerSecond: number) {
    this.#bytesPerMs = bytesPerSecond / 1_000;
  }

  /** Takes note of bytes to be sent; says how many milliseconds to wait before sending them. */
  reserve(bytes: number, nowMs: number): number {
    if (this.#bytesPerMs === 0) return 0;
    const startAtMs = Math.max(this.#freeAtMs, nowMs - burstMs);
    this.#freeAtMs = startAtMs + bytes / this.#bytesPerMs;
    return Math.max(0, this.#freeAtMs - nowMs);
  }
}
