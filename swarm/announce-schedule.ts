/** When a torrent looks for peers in the DHT and announces itself: pure but for the time it is told. */

/** Waits while peers are wanted, or nobody took the announcement: doubled from the first to the last. */
const waitMsMin = 250;
const waitMsMax = 30_000;
/** The same once there is no hurry: before others forget the announcement. */
const settledWaitMs = 10 * 60 * 1_000;

export class AnnounceSchedule {
  readonly #random: () => number;
  #announcedAtMs = Number.NEGATIVE_INFINITY;
  #waitMs = waitMsMin;
  #nextWaitMs = waitMsMin;
  #hasFailed = false;
  /** Keeps nodes that started together from asking together for ever. */
  #jitter = 1;

  constructor(random: () => number) {
    this.#random = random;
  }

  /** @param isSettled nothing is missing, or there are peers enough; where that ends, so does the long wait */
  isDue(nowMs: number, isSettled: boolean): boolean {
    const waitMs = isSettled && !this.#hasFailed ? settledWaitMs : this.#waitMs;
    return nowMs >= this.#announcedAtMs + waitMs * this.#jitter;
  }

  /** The next one is due at once. */
  hasten(): void {
    this.#announcedAtMs = Number.NEGATIVE_INFINITY;
  }

  /** One was sent; until `failed` is called it is taken to have arrived. */
  announced(nowMs: number, isSettled: boolean): void {
    // One that failed before may fail again: its waits go on growing.
    if (isSettled && !this.#hasFailed) this.#nextWaitMs = waitMsMin;
    this.#waitMs = this.#nextWaitMs;
    this.#nextWaitMs = Math.min(2 * this.#nextWaitMs, waitMsMax);
    this.#hasFailed = false;
    this.#announcedAtMs = nowMs;
    this.#jitter = 0.75 + this.#random() / 2;
  }

  /** The last one reached nobody: the next does not wait for long, whether the torrent is settled or not. */
  failed(): void {
    this.#hasFailed = true;
  }
}
