/** Averages a transfer's rate over the last few seconds. */
export interface RateMeter {
  /** Notes that `doneBytes` in all have moved by `nowMs`. */
  note(doneBytes: number, nowMs: number): void;
  /** Bytes per second now. */
  rate(): number;
}

/** How far back the average looks. */
const windowMs = 3_000;
/** Samples closer together than this are one. */
const sampleMs = 100;

/** A meter that has seen nothing yet; `startMs` is when the transfer began. */
export function createRateMeter(startMs: number): RateMeter {
  const samples = [{ doneBytes: 0, atMs: startMs }];
  let last = samples[0]!;
  return {
    note(doneBytes, nowMs) {
      last = { doneBytes, atMs: nowMs };
      if (nowMs - samples.at(-1)!.atMs < sampleMs) return;
      samples.push(last);
      while (samples.length > 2 && nowMs - samples[1]!.atMs > windowMs) samples.shift();
    },
    rate() {
      const first = samples[0]!;
      const elapsedMs = last.atMs - first.atMs;
      return elapsedMs <= 0 ? 0 : ((last.doneBytes - first.doneBytes) * 1000) / elapsedMs;
    },
  };
}
