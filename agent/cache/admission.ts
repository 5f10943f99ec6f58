/**
 * Whether a fetch fits: into the quota for our own bytes, and on the filesystem above the floor that is left to others.
 * Pure: figures in, a decision out.
 */
import { formatBytes } from "./disk-space.ts";
import {
  chooseVictims,
  type EvictionCandidate,
  type EvictionRules,
  evictionBar,
  type Lack,
  worthOf,
} from "./eviction.ts";

/** Filesystems give space in blocks of this size. */
const blockBytes = 4_096;
/** The floor unless an operator sets one: this share of the filesystem, and no more than so many bytes. */
const floorShareDefault = 0.05;
const floorBytesMaxDefault = 10 * 2 ** 30;

/** Bytes on disk that so many bytes of an image need. */
export function footprintOf(bytes: number): number {
  return Math.ceil(bytes / blockBytes) * blockBytes;
}

/**
 * The free space that is left to others. By default 5 % of the filesystem, as much as filesystems keep for root, and 10 GiB
 * at most: more is of no use to logs and VMs' own disks on a large one.
 */
export function freeFloorOf(configured: number | "auto", diskBytes: number): number {
  if (configured !== "auto") return configured;
  return Math.min(Math.floor(diskBytes * floorShareDefault), floorBytesMaxDefault);
}

/** The space as it is at one moment. */
export interface SpaceNow {
  /** Bytes on disk of all our images, whole and partial. */
  allocatedBytes: number;
  /** Bytes that admitted fetches have yet to write. */
  reservedBytes: number;
  /** Of the filesystem. */
  freeBytes: number;
  diskBytes: number;
}

export interface SpaceRules extends EvictionRules {
  /** Most bytes of our own on disk; 0 is no limit. */
  quotaBytes: number;
  /** Free space that is left to others. */
  freeFloorBytes: number;
}

/** A fetch that asks for room. */
export interface SpaceWanted {
  /** Size of the whole image. */
  sizeBytes: number;
  /** Bytes that it has yet to write. */
  neededBytes: number;
  /** Whether somebody asks for it; otherwise it is brought ahead of need. */
  isAsked: boolean;
  /** What it will be worth: only what is worth less goes for it. Absent where anything may go. */
  worth?: number;
}

export type Admission =
  | { kind: "admit" }
  /** It fits once these are gone. */
  | { kind: "evict"; victims: EvictionCandidate[] }
  /** It does not fit. `isHopeless`: nor would it if the cache were empty. `reason` has the figures, for a person. */
  | { kind: "full"; isHopeless: boolean; reason: string };

/** Decides on one fetch; reservations of those admitted earlier are in `now`. */
export function decideAdmission(
  wanted: SpaceWanted,
  now: SpaceNow,
  candidates: readonly EvictionCandidate[],
  rules: SpaceRules,
  nowMs: number,
): Admission {
  const { neededBytes } = wanted;
  if (neededBytes <= 0) return { kind: "admit" };
  const lack = {
    quotaBytes: rules.quotaBytes === 0 ? 0 : now.allocatedBytes + now.reservedBytes + neededBytes - rules.quotaBytes,
    diskBytes: now.reservedBytes + neededBytes + rules.freeFloorBytes - now.freeBytes,
  };
  if (lack.quotaBytes <= 0 && lack.diskBytes <= 0) return { kind: "admit" };
  const { worth } = wanted;
  const lesser = worth === undefined ? candidates : candidates.filter((each) => worthOf(each, nowMs) < worth);
  const sizeBytes = footprintOf(wanted.sizeBytes);
  const overQuota = rules.quotaBytes !== 0 && sizeBytes > rules.quotaBytes;
  const overDisk = sizeBytes + rules.freeFloorBytes > now.diskBytes;
  if (!overQuota && !overDisk) {
    const victims = victimsFor(wanted, lesser, lack, rules, nowMs);
    if (victims) return { kind: "evict", victims };
  }
  const reason = reasonOf(wanted, now, lesser, rules, nowMs, lack.quotaBytes > 0, lack.diskBytes > 0);
  return { kind: "full", isHopeless: overQuota || overDisk, reason };
}

/** What was just brought ahead of need goes last, but it goes for what somebody asks for. */
function victimsFor(
  { isAsked }: SpaceWanted,
  candidates: readonly EvictionCandidate[],
  lack: Lack,
  rules: EvictionRules,
  nowMs: number,
): EvictionCandidate[] | undefined {
  const victims = chooseVictims(candidates, lack, rules, nowMs);
  if (victims || !isAsked) return victims;
  return chooseVictims(candidates, lack, { ...rules, prefetchGraceMs: 0 }, nowMs);
}

function reasonOf(
  { neededBytes, worth }: SpaceWanted,
  now: SpaceNow,
  candidates: readonly EvictionCandidate[],
  rules: SpaceRules,
  nowMs: number,
  lacksQuota: boolean,
  lacksDisk: boolean,
): string {
  const parts = [`it needs ${formatBytes(neededBytes)} (${neededBytes} bytes)`];
  if (lacksDisk) {
    parts.push(
      `the disk has ${formatBytes(now.freeBytes)} free (${now.freeBytes} bytes), of which ${formatBytes(rules.freeFloorBytes)} are left to others (cache.freeFloorBytes)`,
    );
  }
  if (lacksQuota) {
    parts.push(
      `the cache has ${formatBytes(now.allocatedBytes)} of its ${formatBytes(rules.quotaBytes)} in use (cache.quotaBytes)`,
    );
  }
  if (now.reservedBytes > 0) parts.push(`${formatBytes(now.reservedBytes)} are promised to fetches under way`);
  const evictable = candidates.filter((candidate) => evictionBar(candidate, rules, nowMs) === undefined);
  const lesser = worth === undefined ? "" : " of what is worth less than it";
  parts.push(`${formatBytes(sum(evictable))}${lesser} can be evicted${keptBack(candidates, rules, nowMs)}`);
  return parts.join(", ");
}

/** What keeps images from eviction, as in "; pinned: 2.0 GiB, in use: 1.0 GiB". */
function keptBack(candidates: readonly EvictionCandidate[], rules: EvictionRules, nowMs: number): string {
  const kept = (["pinned", "in use", "just prefetched"] as const)
    .map((bar) => ({ bar, bytes: sum(candidates.filter((each) => evictionBar(each, rules, nowMs) === bar)) }))
    .filter(({ bytes }) => bytes > 0);
  return kept.length === 0 ? "" : `; ${kept.map(({ bar, bytes }) => `${bar}: ${formatBytes(bytes)}`).join(", ")}`;
}

function sum(candidates: readonly EvictionCandidate[]): number {
  return candidates.reduce((bytes, { allocatedBytes }) => bytes + allocatedBytes, 0);
}
