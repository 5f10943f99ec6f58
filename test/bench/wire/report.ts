/** What each end of the wire benchmark prints: one JSON object a line. */
export interface WireReport {
  /** The port on which a seed listens. */
  port?: number;
  /** From the leecher's start, its process excluded, to the last piece on disk. */
  seconds?: number;
  /** As Node counts: microseconds of CPU, kilobytes of peak memory. */
  usage?: { userCPUTime: number; systemCPUTime: number; maxRSS: number };
}

export function report(line: WireReport): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
