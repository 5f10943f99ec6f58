/** A trace run past a cache of a given size: the agent's own policy, and those it is compared with. */
import { footprintOf } from "../../../agent/cache/admission.ts";
import { afterUse, chooseVictims, type EvictionCandidate, worthOf } from "../../../agent/cache/eviction.ts";
import { type UsedRecord, unusedRecord } from "../../../agent/cache/records.ts";
import type { Launch } from "./trace.ts";

/** Which images go so that `lackBytes` come free. */
interface Policy {
  victims: (cached: ReadonlyMap<string, Cached>, lackBytes: number, nowMs: number) => string[];
}

interface Cached {
  sizeBytes: number;
  used: UsedRecord;
}

export const policies = ["bootswarm", "LRU", "LFU"] as const;
export type PolicyName = (typeof policies)[number];

export interface Replay {
  hitRate: number;
  byteHitRate: number;
  evictions: number;
}

/** @param warmUp launches that fill the cache and are not counted */
export function replay(launches: readonly Launch[], cacheBytes: number, name: PolicyName, warmUp: number): Replay {
  const cached = new Map<string, Cached>();
  let [filledBytes, level, evictions] = [0, 0, 0];
  let [hits, hitBytes, counted, countedBytes] = [0, 0, 0, 0];
  launches.forEach(({ atMs, image, sizeBytes }, index) => {
    const now = new Date(atMs);
    const here = cached.get(image);
    if (index >= warmUp) {
      counted++;
      countedBytes += sizeBytes;
      if (here) hits++;
      if (here) hitBytes += sizeBytes;
    }
    if (!here) {
      const lackBytes = filledBytes + footprintOf(sizeBytes) - cacheBytes;
      // One that can never fit is fetched past the cache.
      if (footprintOf(sizeBytes) > cacheBytes) return;
      for (const victim of lackBytes > 0 ? byName[name].victims(cached, lackBytes, atMs) : []) {
        const gone = cached.get(victim) as Cached;
        level = Math.max(level, worthOf(candidateOf(victim, gone), atMs));
        filledBytes -= footprintOf(gone.sizeBytes);
        cached.delete(victim);
        evictions++;
      }
      filledBytes += footprintOf(sizeBytes);
    }
    cached.set(image, { sizeBytes, used: afterUse(here?.used ?? unusedRecord(now), level, now) });
  });
  return { hitRate: hits / counted, byteHitRate: hitBytes / countedBytes, evictions };
}

const byName: Record<PolicyName, Policy> = {
  bootswarm: {
    victims: (cached, lackBytes, nowMs) => {
      const candidates = [...cached].map(([digest, entry]) => candidateOf(digest, entry));
      const chosen = chooseVictims(candidates, { quotaBytes: lackBytes, diskBytes: 0 }, { prefetchGraceMs: 0 }, nowMs);
      if (!chosen) throw new Error("an image that fits the cache must find room in it");
      return chosen.map(({ digest }) => digest);
    },
  },
  LRU: { victims: inOrder(({ used }) => Date.parse(used.lastUsedAt)) },
  LFU: { victims: inOrder(({ used }) => used.uses) },
};

/** Evicts by a figure, the least first, until it is enough. */
function inOrder(figure: (entry: Cached) => number): Policy["victims"] {
  return (cached, lackBytes) => {
    const victims: string[] = [];
    let left = lackBytes;
    for (const [digest, { sizeBytes }] of [...cached].sort(([, a], [, b]) => figure(a) - figure(b))) {
      if (left <= 0) break;
      victims.push(digest);
      left -= footprintOf(sizeBytes);
    }
    return victims;
  };
}

function candidateOf(digest: string, { sizeBytes, used }: Cached): EvictionCandidate {
  return {
    digest,
    sizeBytes,
    allocatedBytes: footprintOf(sizeBytes),
    freedBytes: footprintOf(sizeBytes),
    complete: true,
    pinned: false,
    inUse: false,
    lastUsedMs: Date.parse(used.lastUsedAt),
    uses: used.uses,
    level: used.level,
  };
}
