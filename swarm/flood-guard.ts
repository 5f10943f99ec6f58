/** Whether a peer says things oftener than any client of good will: pure but for the time it is told. */
export class FloodGuard {
  readonly #max: number;
  readonly #perSecond: number;
  #credit: number;
  #creditAtMs: number;

  /** `max` at once, and `perSecond` in the long run. */
  constructor(max: number, perSecond: number, nowMs: number) {
    this.#max = max;
    this.#perSecond = perSecond;
    this.#credit = max;
    this.#creditAtMs = nowMs;
  }

  /** Takes note of one more; false if it is one too many. */
  admits(nowMs: number): boolean {
    this.#credit = Math.min(this.#max, this.#credit + ((nowMs - this.#creditAtMs) / 1_000) * this.#perSecond);
    this.#creditAtMs = nowMs;
    if (this.#credit < 1) return false;
    this.#credit--;
    return true;
  }
}
