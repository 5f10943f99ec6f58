/** Bytes per second over the last few seconds. */
const windowMs = 5_000;
const samplesMax = 64;

/** Averages a growing total over a few seconds; `nowMs` never goes back. */
export class Rate {
  private samples: { atMs: number; total: number }[] = [];

  add(nowMs: number, total: number): void {
    const last = this.samples.at(-1);
    // Close samples are one: the window then spans its time with few of them.
    if (last !== undefined && nowMs - last.atMs < windowMs / samplesMax) last.total = total;
    else this.samples.push({ atMs: nowMs, total });
    while (this.samples.length > samplesMax) this.samples.shift();
  }

  bytesPerSecond(nowMs: number): number {
    const recent = this.samples.filter((sample) => nowMs - sample.atMs <= windowMs);
    const first = recent[0];
    const last = recent.at(-1);
    if (first === undefined || last === undefined || nowMs <= first.atMs) return 0;
    return Math.round((1_000 * (last.total - first.total)) / (nowMs - first.atMs));
  }
}
