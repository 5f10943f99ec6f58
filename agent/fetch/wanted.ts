import type { CacheEntry } from "../cache/image-cache.ts";
import { factsOf, type ImageFacts, type WantedRecord } from "../cache/records.ts";

/** Why an image is fetched though nobody asks for it now. */
export type Unasked = "resumed" | "repair";

/** A fetch from before the agent's last stop. */
export interface WantedFetch {
  facts: ImageFacts;
  wanted: WantedRecord;
  unasked: Unasked;
}

/** The fetches that had not ended when the agent last stopped, in order of asking. */
export function wantedFetches(entries: readonly CacheEntry[]): WantedFetch[] {
  return entries
    .flatMap(({ complete, record, used }): WantedFetch[] => {
      if (complete || record.wanted === null) return [];
      const unasked = record.damage === undefined ? "resumed" : "repair";
      return [{ facts: factsOf(record), wanted: askedAs(record.wanted, used), unasked }];
    })
    .sort((a, b) => (a.wanted.requestedAt < b.wanted.requestedAt ? -1 : 1));
}

/** What was wanted, but for what was brought ahead of need and has been asked for since: that is ahead of need no more. */
function askedAs(wanted: WantedRecord, used: CacheEntry["used"]): WantedRecord {
  const { ahead, ...asked } = wanted;
  return !ahead || used.prefetched ? wanted : { ...asked, priority: "ensure" };
}
