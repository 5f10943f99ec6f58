/** The wiring of launches of late, as all seeders of one database were told of them. */
import { randomBytes } from "node:crypto";
import type { Log } from "../daemon/log.ts";
import type { SeederConfig } from "./config.ts";
import { LaunchIds } from "./placement/launch-ids.ts";
import { RecentLaunches } from "./placement/recent-launches.ts";
import { SharedLaunches } from "./placement/shared-launches.ts";
import type { Launches } from "./prefetch/launches.ts";
import type { Store } from "./store/store.ts";

export interface LaunchesOfLate {
  recent: RecentLaunches;
  ids: LaunchIds;
  /** Tells other seeders, and this one after its restart; undefined if none is to hear. */
  shared: Launches | undefined;
}

/** Launches that only this process hears of. */
export function launchesUnshared(launchHalfLifeMs: number): LaunchesOfLate {
  return { recent: new RecentLaunches(launchHalfLifeMs), ids: new LaunchIds(), shared: undefined };
}

/** Opens what the store has of launches of late. */
export async function openLaunches(
  { store, log }: { store: Store; log: Log },
  config: SeederConfig,
): Promise<LaunchesOfLate & { close: () => Promise<void> }> {
  const { recent, ids } = launchesUnshared(config.placement.launchHalfLifeMs);
  const shared = await SharedLaunches.open({
    store: store.launches,
    // Another with each start: what this seeder was told before is read like what others were.
    seederId: randomBytes(8).toString("hex"),
    isShared: config.store.url !== "",
    ...{ ids, heat: recent, nowMs: Date.now, log },
  });
  return { recent, ids, shared, close: () => shared.close() };
}
