/**
 * What is done for a fetch that nothing arrives for: it is given more sources, step by step, and fails in the end with the
 * reason. Pure: figures in, the next step out. (HTTP as a source is source-policy.ts's part.)
 */

/** When nothing has come for so long, all that may know of peers are asked at once; then at doubled intervals. */
const searchMsFirst = 2_000;
const searchMsLongest = 60_000;

export interface Stall {
  /** Milliseconds since anything arrived. */
  quietMs: number;
  /** Milliseconds since a piece was last found good, or since the fetch became active. */
  barrenMs: number;
  /** Pieces that have failed their hash since then. */
  badPieces: number;
  /** Searches made since anything arrived. */
  searches: number;
}

/**
 * - wait: nothing is to be done.
 * - search: look for peers by every way at once, whatever their turns.
 * - fail: nothing arrives, or nothing that is any good.
 */
export type StallStep = "wait" | "search" | "fail";

/**
 * The next step.
 *
 * @param quietMsMax see source-policy.ts
 * @param giveUpMs how long bytes may arrive of which nothing is any good
 */
export function nextStallStep(stall: Stall, quietMsMax: number, giveUpMs: number): StallStep {
  if (stall.quietMs > quietMsMax) return "fail";
  if (stall.badPieces > 0 && stall.barrenMs > giveUpMs) return "fail";
  return stall.quietMs >= searchDueMs(stall.searches) ? "search" : "wait";
}

/** After how long a silence the search of that number (from 0) is due. */
export function searchDueMs(search: number): number {
  let dueMs = 0;
  for (let count = 0; count <= search; count++) dueMs += Math.min(searchMsFirst * 2 ** count, searchMsLongest);
  return dueMs;
}

/** Who sent pieces that failed their hash, for an error's text; empty if nobody did. */
export function blame(badSenders: ReadonlyMap<string, number>): string {
  const senders = [...badSenders].sort(([, a], [, b]) => b - a);
  if (senders.length === 0) return "";
  const named = senders.slice(0, sendersNamedMax).map(([sender, pieces]) => `${sender} (${pieces})`);
  const more = senders.length > named.length ? ` and ${senders.length - named.length} more` : "";
  return `pieces that failed their hash came from ${named.join(", ")}${more}`;
}

/** An error is one line. */
const sendersNamedMax = 5;
