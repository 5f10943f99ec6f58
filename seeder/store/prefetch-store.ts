/** What the seeder keeps in its database of popularity and of prefetches; a part of the store's contract. */
import type { OperatorPrefetch } from "../prefetch/operator-prefetch.ts";
import type { PlannedCopy } from "../prefetch/planned-copy.ts";
import type { PopularityEntry } from "../prefetch/popularity.ts";

/** Each call is atomic, and durable once it resolves. */
export interface PrefetchStore {
  /** Adds launches to what is there, decayed: what several seeders add at once all counts. */
  addPopularity(entries: readonly PopularityEntry[], halfLifeMs: number): Promise<void>;
  loadPopularity(): Promise<PopularityEntry[]>;
  /** Removes what has less than this score by now. */
  forgetPopularity(scoreMin: number, nowMs: number, halfLifeMs: number): Promise<void>;
  /** When a scheduler last told of launches, by zone. */
  loadLaunchZones(): Promise<Map<string, number>>;
  noteLaunchZone(zone: string, atMs: number): Promise<void>;
  /**
   * Has a seeder plan while no other does. What it then says takes the place of all that it said before.
   *
   * @param live ids of the seeders that live: what others have planned is forgotten
   * @param plan is given what the other seeders have planned; it must not use the store
   */
  planAlone(
    seederId: string,
    live: ReadonlySet<string>,
    plan: (others: PlannedCopy[]) => Promise<readonly PlannedCopy[]>,
  ): Promise<void>;
  /** Prefetches that run, and those that ended after this time. */
  loadPrefetches(endedAfterMs: number): Promise<OperatorPrefetch[]>;
  /** Adds or changes a prefetch with its nodes. What has ended stays so, and so do nodes that are ready or have failed. */
  savePrefetch(prefetch: OperatorPrefetch): Promise<void>;
  /** Removes those that ended before this time. */
  forgetPrefetches(endedBeforeMs: number): Promise<void>;
}
