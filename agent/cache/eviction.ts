/**
 * Which images give way when others need their room. Pure: figures in, digests out.
 *
 * GreedyDual-Size-Frequency (Cherkasova, HPL-98-69R1): an image is worth the level at its last use plus how often it is
 * used times what it costs to bring it back, by its size. The level is the worth of what was last evicted, so what nobody
 * asks for any more is overtaken, however often it was used once.
 */
import type { UsedRecord } from "./records.ts";

/** A use counts half after this long: a month in which an image was popular does not keep it for good. */
const usesHalveMs = 14 * 24 * 3_600_000;
/**
 * What it costs to bring an image back besides its bytes, in bytes: somebody waits for a fetch to begin and to be checked
 * however small the image is. Measured with bench:eviction: less costs hits, more costs bytes.
 */
const fetchCostBytes = 2 ** 30;

/** What a policy may know of an image in the cache. */
export interface EvictionCandidate {
  digest: string;
  /** Size of the image. */
  sizeBytes: number;
  /** Bytes of ours that its removal gives back. */
  allocatedBytes: number;
  /** Bytes of the filesystem that its removal gives back: none where another link keeps the file. */
  freedBytes: number;
  /** Whether it is whole. What is left of a fetch that has ended goes first. */
  complete: boolean;
  pinned: boolean;
  /** Whether anybody holds it: a lease, an attached disk. */
  inUse: boolean;
  /** When it was last asked for; the two below are as of then. */
  lastUsedMs: number;
  uses: number;
  level: number;
  /** Uses expected of it when it was brought ahead of need, for as long as it has not been asked for. */
  popularity?: number;
  /** When it came, if it was brought ahead of need and nobody has asked for it since. */
  prefetchedMs?: number;
}

export interface EvictionRules {
  /** How long what was brought ahead of need is kept for those it was brought for. */
  prefetchGraceMs: number;
}

/** Why an image may not be evicted now; undefined if it may. */
export function evictionBar(
  candidate: EvictionCandidate,
  rules: EvictionRules,
  nowMs: number,
): "pinned" | "in use" | "just prefetched" | undefined {
  if (candidate.pinned) return "pinned";
  if (candidate.inUse) return "in use";
  if (candidate.prefetchedMs !== undefined && nowMs < candidate.prefetchedMs + rules.prefetchGraceMs) {
    return "just prefetched";
  }
  return undefined;
}

/** How much it is worth to keep an image, on the scale of levels. */
export function worthOf(candidate: EvictionCandidate, nowMs: number): number {
  if (!candidate.complete) return Number.NEGATIVE_INFINITY;
  const uses = decayed(candidate.uses, nowMs - candidate.lastUsedMs) + (candidate.popularity ?? 0);
  return candidate.level + (uses * (candidate.sizeBytes + fetchCostBytes)) / Math.max(candidate.sizeBytes, 1);
}

/** What an image will be worth that is brought ahead of need, where so many uses are expected of it. */
export function worthWhenBrought(sizeBytes: number, expectedUses: number, level: number): number {
  return level + (expectedUses * (sizeBytes + fetchCostBytes)) / Math.max(sizeBytes, 1);
}

/** An image's record after one more use. */
export function afterUse(used: UsedRecord, level: number, now: Date): UsedRecord {
  const uses = decayed(used.uses, now.getTime() - Date.parse(used.lastUsedAt)) + 1;
  const usedAt = { lastUsedAt: now.toISOString(), uses, level: Math.max(used.level, level) };
  return { ...used, ...usedAt, prefetched: false, expectedUses: 0 };
}

/** What is wanted of the images that go: both figures may be zero or less. */
export interface Lack {
  /** Bytes over our own quota. */
  quotaBytes: number;
  /** Bytes short on the filesystem. */
  diskBytes: number;
}

/**
 * Chooses the images that go, those of least worth first, and none that could stay.
 *
 * @returns undefined if all that may go would not be enough.
 */
export function chooseVictims(
  candidates: readonly EvictionCandidate[],
  lack: Lack,
  rules: EvictionRules,
  nowMs: number,
): EvictionCandidate[] | undefined {
  const byWorth = candidates
    .filter((candidate) => evictionBar(candidate, rules, nowMs) === undefined)
    .map((candidate) => ({ candidate, worth: worthOf(candidate, nowMs) }))
    .sort((a, b) => compare(a.worth, b.worth) || a.candidate.lastUsedMs - b.candidate.lastUsedMs)
    .map(({ candidate }) => candidate);
  const left = { ...lack };
  const chosen: EvictionCandidate[] = [];
  for (const candidate of byWorth) {
    if (left.quotaBytes <= 0 && left.diskBytes <= 0) break;
    chosen.push(candidate);
    left.quotaBytes -= candidate.allocatedBytes;
    left.diskBytes -= candidate.freedBytes;
  }
  if (left.quotaBytes > 0 || left.diskBytes > 0) return undefined;
  // A large one at the end may have made smaller ones before it needless: the most valuable of those stay.
  for (const candidate of chosen.toReversed()) {
    if (left.quotaBytes + candidate.allocatedBytes > 0 || left.diskBytes + candidate.freedBytes > 0) continue;
    chosen.splice(chosen.indexOf(candidate), 1);
    left.quotaBytes += candidate.allocatedBytes;
    left.diskBytes += candidate.freedBytes;
  }
  return chosen;
}

function decayed(uses: number, elapsedMs: number): number {
  return uses * 2 ** (-Math.max(0, elapsedMs) / usesHalveMs);
}

/** Infinities cannot be subtracted. */
function compare(a: number, b: number): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
