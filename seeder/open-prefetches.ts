/** The wiring of prefetching. */
import { randomBytes } from "node:crypto";
import type { Registry } from "prom-client";
import type { Log } from "../daemon/log.ts";
import type { Catalog } from "./catalog/catalog.ts";
import type { SeederConfig } from "./config.ts";
import type { Inventory } from "./inventory/inventory.ts";
import { createPrefetchMetrics } from "./prefetch/metrics.ts";
import { Prefetches } from "./prefetch/prefetches.ts";
import type { Roster } from "./replicas/roster.ts";
import type { Store } from "./store/store.ts";

/** Opens prefetching as it was when the seeder last stopped. */
export async function openPrefetches(
  parts: { store: Store; roster: Roster; inventory: Inventory; catalog: Pick<Catalog, "list">; log: Log },
  config: SeederConfig,
  registry: Registry,
): Promise<Prefetches> {
  const { store, roster, inventory, catalog, log } = parts;
  const shared = { seederId: roster.selfId, liveIds: () => new Set(roster.live().map(({ id }) => id)) };
  const metrics = createPrefetchMetrics(registry);
  const prefetches = await Prefetches.open({
    store: store.prefetch,
    shared: config.store.url === "" ? undefined : shared,
    inventory,
    images: async () => (await catalog.list()).filter(({ boot }) => boot === undefined),
    config: config.prefetch,
    nowMs: Date.now,
    newId: () => randomBytes(4).toString("hex"),
    onDirective: metrics.directed,
    onPrefetchUsed: metrics.used,
    onPlanned: metrics.planned,
    log,
  });
  metrics.observe(prefetches);
  return prefetches;
}
