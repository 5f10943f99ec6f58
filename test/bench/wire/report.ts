/** What each end of the wire benchmark prints: one JSON object a line. */
export interface WireReport {
  /** The port on which a seed listens. */
  port?: number;
  /** From the leecher's start, its process excluded, to the last piece on disk. */
  seconds?: number;
  /** CPU of the same span. */
  cpuSeconds?: number;
  /** Most memory that the process has had resident. */
  peakMib?: number;
}

export function report(line: WireReport): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
