/** PrefetchService: translates and calls. */
import { setTimeout as wait } from "node:timers/promises";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import { Problem } from "../../daemon/problem.ts";
import type { PrefetchService } from "../../proto/gen/bootswarm/seeder/v1/prefetch_pb.js";
import { isZone, zoneRule } from "../../swarm/zone.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { Inventory } from "../inventory/inventory.ts";
import { nodesMax } from "../inventory/limits.ts";
import type { PrefetchConfig } from "../prefetch/config.ts";
import { perDay } from "../prefetch/decay.ts";
import type { Prefetches } from "../prefetch/prefetches.ts";
import { planModeMessage, prefetchMessage, prefetchWithNodes, zonePlanMessage } from "./prefetch-messages.ts";

/** How often a prefetch that is watched is looked at: nodes report their progress less often than that. */
const lookIntervalMs = 500;
/** Images that are listed unless another number is asked for, and at most. */
const listedDefault = 100;
const listedMax = 1_000;

export interface PrefetchServiceParts {
  prefetches: Prefetches;
  catalog: Pick<Catalog, "get" | "list">;
  inventory: Inventory;
  config: PrefetchConfig;
  nowMs: () => number;
}

export function createPrefetchService(parts: PrefetchServiceParts): ServiceImpl<typeof PrefetchService> {
  const { prefetches, catalog, inventory, config, nowMs } = parts;
  const { asked, plan, popularity } = prefetches;
  const described = (id: string) => prefetchWithNodes(asked.get(checkedId(id)), inventory, nowMs());
  return {
    startPrefetch: async ({ image: ref, nodes, zone, count }) => {
      checkTargets(nodes, zone, count);
      const image = await catalog.get(ref);
      if (image.boot)
        throw new Problem("invalid", `${ref} is a boot image; nodes fetch those by themselves (boot.prefetch)`);
      const { digest, sizeBytes } = image;
      const name = ref === digest ? "" : ref;
      const { id } = await asked.start({ digest, name, sizeBytes, nodes, zone, count });
      return { prefetch: described(id) };
    },
    getPrefetch: ({ id }) => ({ prefetch: described(id) }),
    watchPrefetch: async function* ({ id }, { signal }) {
      for (let told = ""; !signal.aborted; ) {
        const prefetch = described(id);
        const now = JSON.stringify(prefetch, (_key, value) => (typeof value === "bigint" ? value.toString() : value));
        if (now !== told) yield { prefetch };
        told = now;
        if (asked.get(id).state !== "running") return;
        await wait(lookIntervalMs, undefined, { signal }).catch(() => {});
      }
    },
    listPrefetches: () => ({ prefetches: asked.list().map(prefetchMessage) }),
    cancelPrefetch: async ({ id }) => {
      await asked.cancel(checkedId(id));
      return { prefetch: described(id) };
    },
    getPlan: ({ zone }) => {
      const wanted = plan.plans.filter((each) => zone === undefined || each.zone === zone);
      const { zoneBytesPerSecondMax } = config;
      return {
        mode: planModeMessage(config.mode),
        ...(plan.plannedAtMs !== undefined && { plannedAt: timestampFromMs(plan.plannedAtMs) }),
        halfLifeMs: BigInt(config.halfLifeMs),
        zones: wanted.map((each) => zonePlanMessage(each, plan, inventory, zoneBytesPerSecondMax, nowMs())),
      };
    },
    listPopularity: async ({ zone, limit }) => {
      if (limit > listedMax) throw new Problem("invalid", `limit: must be 0 to ${listedMax}`);
      const images = new Map((await catalog.list()).map((image) => [image.digest, image]));
      const scores = [...popularity.scores(zone, nowMs())]
        .filter(([digest]) => !images.get(digest)?.boot)
        .sort(([a, scoreA], [b, scoreB]) => scoreB - scoreA || (a < b ? -1 : 1))
        .slice(0, limit || listedDefault);
      return {
        halfLifeMs: BigInt(config.halfLifeMs),
        images: scores.map(([digest, score]) => ({
          digest,
          names: [...(images.get(digest)?.names ?? [])],
          score,
          launchesPerDay: perDay(score, config.halfLifeMs),
        })),
      };
    },
  };
}

function checkTargets(nodes: readonly string[], zone: string, count: number): void {
  if (nodes.length > nodesMax) throw new Problem("invalid", `nodes: ${nodes.length} are more than ${nodesMax}`);
  if (nodes.length > 0 && (zone !== "" || count > 0)) {
    throw new Problem("invalid", "nodes: name the nodes, or a zone and a number of them, not both");
  }
  if (nodes.includes("")) throw new Problem("invalid", "nodes: a node has no name; give ids or names");
  if (zone !== "" && !isZone(zone)) throw new Problem("invalid", `zone: ${zoneRule}`);
}

function checkedId(id: string): string {
  if (id === "") throw new Problem("invalid", "id: give a prefetch's id; `bootswarm prefetches` lists them");
  return id;
}
