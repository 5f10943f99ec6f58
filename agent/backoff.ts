/** First and longest wait between tries, in milliseconds. */
export interface BackoffLimits {
  firstMs: number;
  longestMs: number;
}

/**
 * How long to wait before try number `attempt` (from 1 for the first retry): doubling, and spread over the upper half,
 * so that a thousand nodes that lost the same seeder do not come back in one instant.
 *
 * @param random uniform in [0, 1)
 */
export function backoffMs(attempt: number, limits: BackoffLimits, random: () => number): number {
  const ceilingMs = Math.min(limits.longestMs, limits.firstMs * 2 ** Math.min(attempt - 1, 30));
  return Math.round(ceilingMs * (0.5 + random() / 2));
}
