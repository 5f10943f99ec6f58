import { Counter, Histogram, type Registry } from "prom-client";
import { scrapedMetrics } from "../../daemon/metrics.ts";
import { attachmentStates } from "./attachment.ts";
import type { Attachments } from "./attachments.ts";
import { type ExportTotals, readSources } from "./export-totals.ts";

/** From a piece on a quick link to a read that fails. */
const demandSecondsBuckets = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 120];

/** What the agent counts of the disks that it serves. */
export interface DiskMetrics {
  /** Reads that had to wait for pieces were served; how long each waited. */
  demandServed(waitedMs: readonly number[]): void;
  readTimedOut(): void;
}

export interface DiskSources {
  attachments: Pick<Attachments, "list">;
  totals: Pick<ExportTotals, "connections" | "errors" | "bytesFrom">;
}

export function createDiskMetrics(registry: Registry): DiskMetrics {
  const registers = [registry];
  const seconds = new Histogram({
    name: "bootswarm_agent_disk_demand_seconds",
    help: "How long reads of disks that had to wait for pieces waited.",
    buckets: demandSecondsBuckets,
    registers,
  });
  const timeouts = new Counter({
    name: "bootswarm_agent_disk_read_timeouts_total",
    help: "Reads of disks that failed since what they needed did not come in time.",
    registers,
  });
  return {
    demandServed: (waitedMs) => {
      for (const ms of waitedMs) seconds.observe(ms / 1_000);
    },
    readTimedOut: () => timeouts.inc(),
  };
}

/** Makes the metrics of disks that are read at each scrape. */
export function observeDisks(registry: Registry, { attachments, totals }: DiskSources): void {
  const { gauge, counter, gaugeBy, counterBy } = scrapedMetrics(registry);
  gaugeBy("state", "bootswarm_agent_disks", "Disks that are attached, by state.", () => {
    const disks = attachments.list();
    return attachmentStates.map((state) => [state, disks.filter((disk) => disk.state === state).length] as const);
  });
  gauge("bootswarm_agent_disk_connections", "NBD connections to disks.", () => totals.connections);
  counterBy(
    "source",
    "bootswarm_agent_disk_read_bytes_total",
    "Bytes read of disks, by where they came from: a boot image in memory, the image's file, or a wait for them.",
    () => readSources.map((source) => [source, totals.bytesFrom(source)] as const),
  );
  counter("bootswarm_agent_disk_read_errors_total", "Reads of disks that failed.", () => totals.errors);
}
