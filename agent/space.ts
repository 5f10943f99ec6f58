import type { Log } from "../daemon/log.ts";
import { Problem } from "../daemon/problem.ts";
import type { Clock } from "../swarm/types.ts";
import {
  type Admission,
  decideAdmission,
  footprintOf,
  freeFloorOf,
  type SpaceNow,
  type SpaceRules,
} from "./cache/admission.ts";
import { allocatedBytesOf, diskSpaceOf, formatBytes } from "./cache/disk-space.ts";
import { afterUse, type EvictionCandidate, evictionBar, worthOf, worthWhenBrought } from "./cache/eviction.ts";
import type { CacheEntry, ImageCache } from "./cache/image-cache.ts";
import type { InUse } from "./cache/in-use.ts";
import { imagePaths } from "./cache/layout.ts";
import type { AheadTerms, FetchPriority } from "./cache/records.ts";
import { wait } from "./clock.ts";

/**
 * How long a filesystem may take to give back what was evicted, and how often it is asked. One that has not by then never
 * will: the file is open elsewhere, or shared by reflinks. To evict more would empty the cache for nothing.
 */
const givenBackMsMax = 3_000;
const lookIntervalMs = 100;

export interface SpaceOptions {
  cache: ImageCache;
  inUse: InUse;
  rules: { quotaBytes: number; freeFloorBytes: number | "auto"; prefetchGraceMs: number };
  /** Takes an image out of the swarm, so that it can be removed; and back, if it was not. */
  seeding: { stop: (digest: string) => Promise<void>; consider: (digest: string) => void };
  /** Told of every image evicted. */
  onEvicted: (freedBytes: number) => void;
  /** Told of the first use of an image that was brought ahead of need, here or on its way. */
  onPrefetchUsed: (entry: CacheEntry) => void;
  clock: Clock;
  now: () => Date;
  log: Log;
}

/** A fetch that has not ended. What an admitted one has yet to write is promised to it. */
export interface Claim {
  digest: string;
  isAdmitted: boolean;
  sizeBytes: number;
  /** Bytes of the image that need no more room, as far as the fetch knows: on disk, or holes. */
  placedBytes: number;
}

/** How the space is shared, for people. */
export interface SpaceView extends SpaceNow {
  quotaBytes: number;
  freeFloorBytes: number;
  evictableBytes: number;
}

/** The room for images: who may come in, and who has to go for it. One caller at a time. */
export class Space {
  readonly #options: SpaceOptions;
  /** The worth of what was last evicted; see eviction.ts. What is left remembers it across restarts. */
  #level: number;

  constructor(options: SpaceOptions) {
    this.#options = options;
    this.#level = Math.max(0, ...options.cache.list().map(({ used }) => used.level));
  }

  /**
   * Notes that an image, whole or on its way, was asked for.
   *
   * @param expectedUses of one brought ahead of need: how often it will be used here, as the seeder reckons
   */
  async noteUse(digest: string, priority: FetchPriority, expectedUses = 0): Promise<void> {
    const { cache, now, onPrefetchUsed } = this.#options;
    const entry = cache.get(digest);
    if (!entry) return;
    if (priority !== "prefetch") {
      if (entry.used.prefetched) onPrefetchUsed(entry);
      await cache.touch(digest, (used) => afterUse(used, this.#level, now()));
    }
    // Nobody has asked for it since, whoever did before: what is left of an earlier fetch is of no use to anybody.
    else if (!entry.complete && entry.record.damage === undefined) {
      const level = Math.max(entry.used.level, this.#level);
      await cache.touch(digest, (used) => ({ ...used, level, prefetched: true, expectedUses }));
    }
  }

  /**
   * Finds room for a fetch, evicting what has to go.
   *
   * @param claims of all fetches; its own is not counted
   * @param priority why it is wanted. For what somebody asks for, also what was just brought ahead of need may go
   * @param ahead terms on which the seeder has it brought: unless an operator wants that, only what is worth less goes for it
   * @returns undefined once there is room; else a Problem "exhausted", and whether it may come to fit.
   */
  async admit(
    wanted: { digest: string; sizeBytes: number },
    claims: readonly Claim[],
    priority: FetchPriority,
    ahead?: AheadTerms,
  ): Promise<{ problem: Problem; isHopeless: boolean } | undefined> {
    const decision = await this.#decide(wanted, claims, priority, ahead);
    if (decision.kind === "admit") return undefined;
    if (decision.kind === "full") {
      return { problem: this.#fullProblem(wanted.digest, decision.reason), isHopeless: decision.isHopeless };
    }
    let freedBytes = 0;
    for (const victim of decision.victims) freedBytes += await this.#evict(victim, wanted.digest);
    const { clock } = this.#options;
    for (const startedMs = clock.now(); ; await wait(clock, lookIntervalMs, new AbortController().signal)) {
      if ((await this.#decide(wanted, claims, priority, ahead)).kind === "admit") return undefined;
      if (clock.now() - startedMs > givenBackMsMax) break;
    }
    const reason = `${formatBytes(freedBytes)} were evicted for it, but the disk has not got them back; the files are open or copied elsewhere`;
    return { problem: this.#fullProblem(wanted.digest, reason), isHopeless: false };
  }

  async #decide(
    wanted: { digest: string; sizeBytes: number },
    claims: readonly Claim[],
    priority: FetchPriority,
    ahead: AheadTerms | undefined,
  ): Promise<Admission> {
    const { now, rules, candidates } = await this.#measure(claims, wanted.digest);
    const { layout } = this.#options.cache;
    const hereBytes = await allocatedBytesOf(layout.disk, imagePaths(layout, wanted.digest).data);
    const neededBytes = Math.max(0, footprintOf(wanted.sizeBytes) - hereBytes);
    const nowMs = this.#options.now().getTime();
    const isAsked = priority !== "prefetch";
    const worth =
      ahead?.prefetchId === "" ? worthWhenBrought(wanted.sizeBytes, ahead.expectedUses, this.#level) : undefined;
    const asked = { sizeBytes: wanted.sizeBytes, neededBytes, isAsked, ...(worth !== undefined && { worth }) };
    return decideAdmission(asked, now, candidates, rules, nowMs);
  }

  /** How the space is shared now. */
  async view(claims: readonly Claim[]): Promise<SpaceView> {
    const { now, rules, candidates } = await this.#measure(claims);
    const evictableBytes = candidates
      .filter((candidate) => evictionBar(candidate, rules, this.#options.now().getTime()) === undefined)
      .reduce((bytes, { allocatedBytes }) => bytes + allocatedBytes, 0);
    return { ...now, quotaBytes: rules.quotaBytes, freeFloorBytes: rules.freeFloorBytes, evictableBytes };
  }

  /** @param wantedDigest the image that room is wanted for: it does not give way to itself */
  async #measure(claims: readonly Claim[], wantedDigest?: string) {
    const { cache } = this.#options;
    const { layout } = cache;
    const claimed = new Set(claims.map(({ digest }) => digest));
    const claimedBytes = await Promise.all(
      claims.map(async ({ digest, isAdmitted, sizeBytes, placedBytes }) => {
        const allocatedBytes = await allocatedBytesOf(layout.disk, imagePaths(layout, digest).data);
        const leftBytes = Math.max(0, footprintOf(sizeBytes) - Math.max(allocatedBytes, placedBytes));
        return { allocatedBytes, leftBytes: isAdmitted ? leftBytes : 0 };
      }),
    );
    const unclaimed = cache.list().filter(({ record }) => !claimed.has(record.digest));
    const resting = await Promise.all(unclaimed.map((entry) => this.#asItIs(entry)));
    const others = resting.filter(({ record }) => record.digest !== wantedDigest);
    const candidates = await Promise.all(others.map((entry) => this.#candidate(entry)));
    // Measured last: what fetches wrote meanwhile counts twice rather than not at all.
    const { freeBytes, sizeBytes: diskBytes } = await diskSpaceOf(layout.disk, layout.images);
    const now: SpaceNow = {
      allocatedBytes: total(resting, "allocatedBytes") + total(claimedBytes, "allocatedBytes"),
      reservedBytes: total(claimedBytes, "leftBytes"),
      freeBytes,
      diskBytes,
    };
    const { quotaBytes, freeFloorBytes, prefetchGraceMs } = this.#options.rules;
    const rules: SpaceRules = { quotaBytes, prefetchGraceMs, freeFloorBytes: freeFloorOf(freeFloorBytes, diskBytes) };
    return { now, rules, candidates };
  }

  /** What is left of a fetch is measured anew: the disk may have kept the cache from noting how far that came. */
  async #asItIs(entry: CacheEntry): Promise<CacheEntry> {
    if (entry.complete) return entry;
    const { disk } = this.#options.cache.layout;
    return { ...entry, allocatedBytes: await allocatedBytesOf(disk, entry.paths.data) };
  }

  async #candidate({ record, used, paths, allocatedBytes, complete }: CacheEntry): Promise<EvictionCandidate> {
    const { cache, inUse } = this.#options;
    const { digest, sizeBytes } = record;
    const links = await cache.layout.disk.stat(paths.data).then(
      ({ nlink }) => nlink ?? 1,
      () => 1,
    );
    return {
      digest,
      sizeBytes,
      allocatedBytes,
      freedBytes: links > 1 ? 0 : allocatedBytes,
      complete,
      pinned: used.pinned,
      inUse: inUse.isInUse(digest),
      lastUsedMs: Date.parse(used.lastUsedAt),
      uses: used.uses,
      level: used.level,
      popularity: used.expectedUses,
      ...(used.prefetched && record.completedAt !== null && { prefetchedMs: Date.parse(record.completedAt) }),
    };
  }

  /** Takes an image out of the swarm and off the disk, unless it has come into use since it was chosen. */
  async #evict(victim: EvictionCandidate, forDigest: string): Promise<number> {
    const { cache, inUse, seeding, onEvicted, now, log } = this.#options;
    const { digest } = victim;
    await seeding.stop(digest);
    const entry = cache.get(digest);
    if (!entry || entry.used.pinned || inUse.isInUse(digest)) {
      seeding.consider(digest);
      return 0;
    }
    const freedBytes = await cache.remove(digest);
    const worth = worthOf(victim, now().getTime());
    this.#level = Math.max(this.#level, worth);
    onEvicted(freedBytes);
    const { names } = entry.record;
    const { lastUsedAt } = entry.used;
    const why = victim.complete ? "of least worth among those that may go" : "left of a fetch that has ended";
    log.info({ digest, names, freedBytes, lastUsedAt, uses: victim.uses, why, for: forDigest }, "evicted an image");
    return freedBytes;
  }

  #fullProblem(digest: string, reason: string): Problem {
    return new Problem(
      "exhausted",
      `no room for image ${digest} in ${this.#options.cache.layout.directory}: ${reason}; remove or unpin images or free space`,
    );
  }
}

function total<Key extends string>(entries: readonly Record<Key, number>[], key: Key): number {
  return entries.reduce((sum, entry) => sum + entry[key], 0);
}
