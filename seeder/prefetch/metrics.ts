import { Counter, Histogram, type Registry } from "prom-client";
import { scrapedMetrics } from "../../daemon/metrics.ts";
import type { NodeDirective } from "./directives.ts";
import type { Prefetches } from "./prefetches.ts";

/** What prefetching reports as it works. */
export interface PrefetchMetrics {
  directed(kind: NodeDirective["kind"]): void;
  used(): void;
  planned(seconds: number): void;
  /** Adds what is read at each scrape. */
  observe(prefetches: Prefetches): void;
}

export function createPrefetchMetrics(registry: Registry): PrefetchMetrics {
  const registers = [registry];
  const directives = new Counter({
    name: "bootswarm_seeder_directives_total",
    help: "Directives told to nodes, by kind: prefetch or stop; what is told again counts again",
    labelNames: ["kind"],
    registers,
  });
  for (const kind of ["prefetch", "stop"]) directives.inc({ kind }, 0);
  const used = new Counter({
    name: "bootswarm_seeder_prefetch_used_total",
    help: "Images brought ahead of need that were asked for later, on any node",
    registers,
  });
  const planSeconds = new Histogram({
    name: "bootswarm_seeder_plan_seconds",
    help: "Time to make the plan of all zones",
    buckets: [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3],
    registers,
  });
  const { gauge } = scrapedMetrics(registry);
  return {
    directed: (kind) => directives.inc({ kind }),
    used: () => used.inc(),
    planned: (seconds) => planSeconds.observe(seconds),
    observe: ({ plan, asked }) => {
      gauge(
        "bootswarm_seeder_prefetches_running",
        "Prefetches that operators have under way",
        () => asked.runningCount,
      );
      gauge("bootswarm_seeder_planned_copies", "Images that are to go to a node by the plan", () => plan.assignedCount);
      gauge(
        "bootswarm_seeder_misses_expected",
        "Launches of the next half-life that will find no free node with their image, by popularity and the copies there are",
        () => plan.plans.flatMap(({ images }) => images).reduce((sum, { missesExpected }) => sum + missesExpected, 0),
      );
    },
  };
}
