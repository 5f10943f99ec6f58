/**
 * Uses of images that can be seen in a node's report, for zones where no scheduler records launches: an image came, or is
 * on its way, because somebody asked for it; or one that was there was asked for anew. Pure.
 */
import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import type { Fetch } from "../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import { FetchPriority } from "../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import type { HoldingFacts } from "../inventory/facts.ts";

/**
 * Uses of one image on one node within this time are of one launch: a tool ensures the image, then attaches its disk, then
 * takes a lease.
 */
const oneLaunchMs = 60_000;

export interface UseSeen {
  digest: string;
  atMs: number;
  /** Whether it had been brought ahead of need, and this was its first use. */
  wasPrefetched: boolean;
}

/** What was known of the node before the report; nothing of a new one. */
export interface NodeBefore {
  holding(digest: string): HoldingFacts | undefined;
  fetch(digest: string): Fetch | undefined;
}

/** What the report says. */
export interface NodeAfter {
  holdings: readonly HoldingFacts[];
  fetches: readonly Fetch[];
}

export function usesSeen(before: NodeBefore, after: NodeAfter, nowMs: number): UseSeen[] {
  const uses: UseSeen[] = [];
  for (const { digest, lastUsedAtMs } of after.holdings) {
    if (lastUsedAtMs === undefined) continue;
    const held = before.holding(digest);
    const fetch = before.fetch(digest);
    // What somebody had asked for while it was on its way was counted then.
    if (!held && fetch && !isAhead(fetch)) continue;
    if (held?.lastUsedAtMs !== undefined && lastUsedAtMs < held.lastUsedAtMs + oneLaunchMs) continue;
    uses.push({ digest, atMs: Math.min(lastUsedAtMs, nowMs), wasPrefetched: wasAhead(held, fetch) });
  }
  for (const fetch of after.fetches) {
    const { digest } = fetch;
    if (isAhead(fetch) || before.holding(digest)) continue;
    const known = before.fetch(digest);
    if (known && !isAhead(known)) continue;
    // One that somebody asks for while it is brought ahead was asked for now, whenever it began.
    const isRaised = known !== undefined || !fetch.requestedAt;
    const atMs = isRaised ? nowMs : Math.min(timestampMs(fetch.requestedAt as Timestamp), nowMs);
    uses.push({ digest, atMs, wasPrefetched: false });
  }
  return uses;
}

function wasAhead(held: HoldingFacts | undefined, fetch: Fetch | undefined): boolean {
  return held ? held.lastUsedAtMs === undefined : fetch !== undefined && isAhead(fetch);
}

function isAhead({ priority }: Fetch): boolean {
  return priority === FetchPriority.PREFETCH;
}
