/** When to report next. Pure. */

/** Longest between reports while fetches are active, so that the inventory knows how far they are. */
const progressIntervalMsMax = 2_000;
/** A seeder may slow its agents down by no more than this: a fault of its own must not silence them. */
const slowdownMax = 16;
/** Reports come up to this part before their time, each by another: nodes that began together drift apart. */
const jitter = 0.1;

export interface PaceAnswer {
  fullReportWanted: boolean;
  fullReportAfterMs: number;
  nextReportMs: number;
}

export interface NextReport {
  /** Longest wait until the next report, if nothing changes. */
  restMs: number;
  /** How long a full report must wait. */
  fullAfterMs: number;
}

/**
 * @param fetchesActive whether the node has progress to tell
 * @param wasFull whether the report answered was full
 * @param random uniform in [0, 1)
 */
export function nextReport(
  answer: PaceAnswer,
  intervalMs: number,
  fetchesActive: boolean,
  wasFull: boolean,
  random: () => number,
): NextReport {
  const ownMs = fetchesActive ? Math.min(intervalMs, progressIntervalMsMax) : intervalMs;
  const longestMs = slowdownMax * intervalMs;
  const restMs = Math.min(Math.max(ownMs, answer.nextReportMs), longestMs) * (1 - jitter * random());
  const fullAfterMs = Math.min(answer.fullReportAfterMs, longestMs);
  // A full report that is answered by a wish for a full report must not become a busy loop.
  const isSoon = answer.fullReportWanted && (!wasFull || fullAfterMs > 0);
  return { restMs: isSoon ? Math.min(fullAfterMs, restMs) : restMs, fullAfterMs };
}
