/** Time over which a rate is averaged: long enough to be steady, short enough to show a stall. */
const windowMs = 5_000;
/** A new sample at most this often; bounds the samples kept. */
const sampleMs = 100;

/** The rate of a growing count of bytes over the last few seconds. Time comes from the caller. */
export class RateMeter {
  readonly #samples: { atMs: number; bytes: number }[] = [];

  /** Tells the count as of now. */
  record(bytes: number, nowMs: number): void {
    const last = this.#samples.at(-1);
    if (last && (bytes < last.bytes || nowMs < last.atMs)) this.#samples.length = 0;
    else if (last && nowMs - last.atMs < sampleMs) return;
    this.#samples.push({ atMs: nowMs, bytes });
    while (this.#samples.length > 2 && this.#samples[1]!.atMs <= nowMs - windowMs) this.#samples.shift();
  }

  /** Bytes per second. */
  rate(): number {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (!first || !last || last.atMs === first.atMs) return 0;
    return Math.round(((last.bytes - first.bytes) * 1_000) / (last.atMs - first.atMs));
  }
}
