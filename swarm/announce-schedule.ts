/** When a torrent looks for peers in the DHT and announces itself: pure but for the time it is told. */

/** Waits while pieces are missing: doubled from the first to the last. */
const waitMsMin = 250;
const waitMsMax = 30_000;
/** The same once there is no hurry: before others forget the announcement. */
const settledWaitMs = 10 * 60 * 1_000;

export class AnnounceSchedule {
  readonly #random: () => number;
  #nextAtMs = 0;
  #waitMs = waitMsMin;

  constructor(random: () => number) {
    this.#random = random;
  }

  isDue(nowMs: number): boolean {
    return nowMs >= this.#nextAtMs;
  }

  /** The next one is due at once. */
  hasten(): void {
    this.#nextAtMs = 0;
  }

  /** One was made. `isSettled`: nothing is missing, or there are peers enough. */
  announced(nowMs: number, isSettled: boolean): void {
    const waitMs = isSettled ? settledWaitMs : this.#waitMs;
    this.#waitMs = Math.min(this.#waitMs * 2, waitMsMax);
    // Jitter keeps nodes that started together from asking together for ever.
    this.#nextAtMs = nowMs + waitMs * (0.75 + this.#random() / 2);
  }
}
