/** Which image is to be checked next. Pure. */

export interface ScrubCandidate {
  digest: string;
  /** When all of it was last known to be right: by a scrub, or when it became complete. */
  soundAtMs: number;
  /** A check of it has begun and not ended. */
  isBegun: boolean;
}

/** The image to check next and when: one that is begun at once, else the one that was checked longest ago. */
export function nextDue(
  candidates: readonly ScrubCandidate[],
  intervalMs: number,
  nowMs: number,
): { digest: string; waitMs: number } | undefined {
  let best: { digest: string; waitMs: number } | undefined;
  for (const { digest, soundAtMs, isBegun } of candidates) {
    // A clock that was set back must not keep an image from ever being checked.
    const waitMs = isBegun ? 0 : Math.min(intervalMs, Math.max(0, soundAtMs + intervalMs - nowMs));
    if (!best || waitMs < best.waitMs) best = { digest, waitMs };
  }
  return best;
}
