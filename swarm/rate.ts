/** Rates: measured over the last few seconds, and held below a limit. Pure but for the time they are told. */

const bucketMs = 250;
const bucketCount = 12;

/** Bytes per second over the last three seconds. */
export class RateMeter {
  readonly #buckets = new Float64Array(bucketCount);
  /** Of all buckets. */
  #sum = 0;
  #bucket: number;
  readonly #startedAtMs: number;
  total = 0;

  constructor(nowMs: number) {
    this.#bucket = Math.floor(nowMs / bucketMs);
    this.#startedAtMs = nowMs;
  }

  add(bytes: number, nowMs: number): void {
    this.#advance(nowMs);
    this.#buckets[this.#bucket % bucketCount]! += bytes;
    this.#sum += bytes;
    this.total += bytes;
  }

  bytesPerSecond(nowMs: number): number {
    this.#advance(nowMs);
    const spanMs = Math.min((bucketCount - 1) * bucketMs + (nowMs % bucketMs), nowMs - this.#startedAtMs);
    // A rate over less than one bucket says more about scheduling than about the peer.
    return (this.#sum * 1_000) / Math.max(spanMs, bucketMs);
  }

  #advance(nowMs: number): void {
    const bucket = Math.floor(nowMs / bucketMs);
    const steps = Math.min(bucket - this.#bucket, bucketCount);
    for (let step = 0; step < steps; step++) {
      const passed = (bucket - step) % bucketCount;
      this.#sum -= this.#buckets[passed]!;
      this.#buckets[passed] = 0;
    }
    this.#bucket = Math.max(this.#bucket, bucket);
  }
}

/**
 * A token bucket whose rate may change. What is taken beyond goes into debt, so that whole blocks can be counted after the
 * fact.
 */
export class RateLimit {
  readonly #rate: () => number;
  readonly #burstSeconds: number;
  #allowance: number;
  #filledAtMs: number;

  /**
   * @param rate bytes per second, as they are or as of now; 0 is no limit
   * @param burstSeconds how many seconds' bytes may come at once
   */
  constructor(rate: number | (() => number), nowMs: number, burstSeconds = 0.1) {
    this.#rate = typeof rate === "number" ? () => rate : rate;
    this.#burstSeconds = burstSeconds;
    this.#allowance = this.burstBytes;
    this.#filledAtMs = nowMs;
  }

  /** What may come at once. */
  get burstBytes(): number {
    return this.#burstOf(this.#rate());
  }

  /** Bytes that may be taken now without debt. */
  roomBytes(nowMs: number): number {
    this.#fill(nowMs);
    return Math.max(0, this.#allowance);
  }

  /** @param debtBytesMax what these bytes may bring the debt to, at the most */
  take(bytes: number, nowMs: number, debtBytesMax = Number.POSITIVE_INFINITY): void {
    this.#fill(nowMs);
    this.#allowance = Math.max(this.#allowance - bytes, Math.min(this.#allowance, -debtBytesMax));
  }

  /** Milliseconds until something may be taken again; 0 if now. */
  waitMs(nowMs: number): number {
    const rate = this.#fill(nowMs);
    return this.#allowance > 0 ? 0 : Math.ceil((-this.#allowance * 1_000) / rate) + 1;
  }

  /** Without a limit everything may be taken, and leaves no debt for when there is one. */
  #fill(nowMs: number): number {
    const rate = this.#rate();
    const earned = rate === 0 ? Number.POSITIVE_INFINITY : ((nowMs - this.#filledAtMs) * rate) / 1_000;
    this.#filledAtMs = nowMs;
    this.#allowance = Math.min(this.#allowance + earned, this.#burstOf(rate));
    return rate;
  }

  #burstOf(rate: number): number {
    return rate === 0 ? Number.POSITIVE_INFINITY : rate * this.#burstSeconds;
  }
}
