import { Counter, type Registry } from "prom-client";
import { scrapedMetrics } from "../../daemon/metrics.ts";
import type { Prefetcher } from "./prefetcher.ts";

/** What the agent counts of images that come ahead of need. */
export interface PrefetchMetrics {
  ended(result: "ready" | "failed" | "stopped"): void;
  /** An image that was brought ahead of need was asked for, the first time. */
  used(): void;
  /** A fetch ahead of need gave its place to another. */
  yielded(): void;
}

export function createPrefetchMetrics(registry: Registry): PrefetchMetrics {
  const registers = [registry];
  const ended = new Counter({
    name: "bootswarm_agent_prefetches_total",
    help: "Prefetches that the seeder directed and that have ended, by result: ready, failed or stopped.",
    labelNames: ["result"] as const,
    registers,
  });
  const used = new Counter({
    name: "bootswarm_agent_prefetch_used_total",
    help: "Images brought ahead of need that were asked for later.",
    registers,
  });
  const yielded = new Counter({
    name: "bootswarm_agent_prefetch_yielded_total",
    help: "Times that a fetch ahead of need gave its place to one that was asked for.",
    registers,
  });
  for (const result of ["ready", "failed", "stopped"]) ended.inc({ result }, 0);
  return {
    ended: (result) => ended.inc({ result }),
    used: () => used.inc(),
    yielded: () => yielded.inc(),
  };
}

/** Makes the metrics of prefetches that are read at each scrape. */
export function observePrefetches(registry: Registry, prefetcher: Pick<Prefetcher, "aheadBytes" | "budgetBytes">) {
  const { gauge } = scrapedMetrics(registry);
  gauge(
    "bootswarm_agent_prefetch_ahead_bytes",
    "Bytes of images brought ahead of need and not asked for yet.",
    () => prefetcher.aheadBytes,
  );
  gauge(
    "bootswarm_agent_prefetch_budget_bytes",
    "Bytes that those may have that popularity brings.",
    () => prefetcher.budgetBytes,
  );
}
