/**
 * A count of events of which old ones count less: an event of one half-life ago counts half. Pure; one figure and one time
 * say all, and two counts of the same events can be added in any order.
 */

export interface DecayedCount {
  /** As of `atMs`. */
  score: number;
  /** Milliseconds since 1970. */
  atMs: number;
}

/** The score as of `nowMs`; events of the future count as of now. */
export function scoreAt(count: DecayedCount, nowMs: number, halfLifeMs: number): number {
  return count.score * 2 ** (-Math.max(0, nowMs - count.atMs) / halfLifeMs);
}

/** Both together, as of the later of the two times. */
export function sumOf(a: DecayedCount, b: DecayedCount, halfLifeMs: number): DecayedCount {
  const atMs = Math.max(a.atMs, b.atMs);
  return { score: scoreAt(a, atMs, halfLifeMs) + scoreAt(b, atMs, halfLifeMs), atMs };
}

/** Events that the next half-life brings, where they come as they have come: a steady rate has this score. */
export function expectedWithinHalfLife(score: number): number {
  return score * Math.LN2;
}

/** Events a day that a score comes of, where they come evenly: the sum over all past is rate x half-life / ln 2. */
export function perDay(score: number, halfLifeMs: number): number {
  return (score * Math.LN2 * 24 * 3_600_000) / halfLifeMs;
}
