import { randomBytes } from "node:crypto";
import type { ServiceImpl } from "@connectrpc/connect";
import type { Registry } from "prom-client";
import type { PlacementService } from "../proto/gen/bootswarm/seeder/v1/placement_pb.js";
import { createPlacementService } from "./api/placement-service.ts";
import type { Catalog } from "./catalog/catalog.ts";
import type { Inventory } from "./inventory/inventory.ts";
import { type LaunchesOfLate, launchesUnshared } from "./open-launches.ts";
import type { PlacementConfig } from "./placement/config.ts";
import { createPlacementMetrics } from "./placement/metrics.ts";
import { Placement } from "./placement/placement.ts";
import type { Launches } from "./prefetch/launches.ts";

/** Wires placement to what it reads, and to who hears of launches. */
export function openPlacement(
  parts: {
    inventory: Inventory;
    catalog: Pick<Catalog, "get" | "recall">;
    popularity?: Launches;
    late?: LaunchesOfLate;
  },
  config: PlacementConfig,
  registry: Registry,
): ServiceImpl<typeof PlacementService> {
  const { inventory, catalog, popularity, late = launchesUnshared(config.launchHalfLifeMs) } = parts;
  const { weighed, launched } = createPlacementMetrics(registry);
  const launches: Launches = {
    record: (launch) => {
      late.recent.record(launch);
      late.shared?.record(launch);
      popularity?.record(launch);
    },
  };
  const placement = new Placement({
    inventory,
    launches,
    recentLaunches: late.recent,
    launchIds: late.ids,
    nowMs: Date.now,
  });
  const randomSeed = () => randomBytes(8).readBigUInt64LE();
  return createPlacementService({ placement, catalog, config, randomSeed, onWeighed: weighed, onLaunched: launched });
}
