import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { Swarm } from "../swarm/swarm.ts";
import { type BootSources, observeBoots } from "./boot/metrics.ts";
import { diskFaults } from "./cache/disk-fault.ts";
import type { ImageCache } from "./cache/image-cache.ts";
import { attachmentStates } from "./disk/attachment.ts";
import type { Attachments } from "./disk/attachments.ts";
import { type ExportTotals, readSources } from "./disk/export-totals.ts";
import type { Fetch } from "./fetch/fetch.ts";
import type { Fetches } from "./fetch/fetches.ts";
import type { HttpOrigin } from "./fetch/http-origin.ts";
import type { Leases } from "./leases.ts";
import type { Prefetcher } from "./prefetch/prefetcher.ts";
import type { Seeders } from "./seeders/seeders.ts";

/** From a piece on a quick link to a read that fails. */
const demandSecondsBuckets = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 120];

/** From what loopback does with a small image to what a thin link does with a large one. */
const fetchSecondsBuckets = [0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_200, 3_600];

export interface MetricsSources {
  cache: ImageCache;
  fetches: Fetches;
  swarm: Swarm;
  origin: HttpOrigin;
  leases: Leases;
  seeders: Seeders;
}

export interface DiskSources {
  attachments: Attachments;
  totals: ExportTotals;
}

/** The events that are counted as they happen; everything else is read when a scrape asks. */
export interface AgentMetrics {
  fetchEnded: (fetch: Fetch) => void;
  reported: (result: "ok" | "failed") => void;
  evicted: (freedBytes: number) => void;
  prefetchEnded: (result: "ready" | "failed" | "stopped") => void;
  /** An image that was brought ahead of need was asked for, the first time. */
  prefetchUsed: () => void;
  /** A fetch ahead of need gave its place to another. */
  prefetchYielded: () => void;
  scrub: {
    onBytes: (bytes: number) => void;
    onDamage: (kind: "hash" | "read") => void;
    onRepair: (result: "repaired" | "failed") => void;
  };
  disks: {
    /** Reads that had to wait for pieces were served; how long each waited. */
    demandServed: (waitedMs: readonly number[]) => void;
    readTimedOut: () => void;
  };
  /** Adds the figures that are read at each scrape. */
  observe: (sources: MetricsSources) => void;
  observePrefetches: (prefetcher: Pick<Prefetcher, "aheadBytes" | "budgetBytes">) => void;
  observeDisks: (disks: DiskSources) => void;
  observeBoots: (boots: BootSources) => void;
}

/** Registers the agent's metrics. */
export function createAgentMetrics(registry: Registry): AgentMetrics {
  const registers = [registry];
  const seconds = new Histogram({
    name: "bootswarm_agent_fetch_seconds",
    help: "Time from a fetch's start to its end, by result.",
    labelNames: ["result"] as const,
    buckets: fetchSecondsBuckets,
    registers,
  });
  const reports = new Counter({
    name: "bootswarm_agent_reports_total",
    help: "Reports to the inventory, by result.",
    labelNames: ["result"] as const,
    registers,
  });
  const evictions = new Counter({
    name: "bootswarm_agent_evictions_total",
    help: "Images evicted to make room for others.",
    registers,
  });
  const evictedBytes = new Counter({
    name: "bootswarm_agent_evicted_bytes_total",
    help: "Bytes on disk given back by evictions.",
    registers,
  });
  for (const result of ["ready", "failed", "cancelled"]) seconds.zero({ result });
  for (const result of ["ok", "failed"]) reports.inc({ result }, 0);
  return {
    fetchEnded: (fetch) => {
      if (fetch.activeSeconds !== undefined) seconds.observe({ result: fetch.state }, fetch.activeSeconds);
    },
    reported: (result) => reports.inc({ result }),
    evicted: (freedBytes) => {
      evictions.inc();
      evictedBytes.inc(freedBytes);
    },
    ...prefetchMetrics(registers),
    scrub: scrubMetrics(registers),
    disks: demandMetrics(registers),
    observe: (sources) => observe(registry, sources),
    observeDisks: (disks) => observeDisks(registers, disks),
    observeBoots: (boots) => observeBoots(registers, boots),
  };
}

function prefetchMetrics(registers: Registry[]) {
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
  for (const result of ["ready", "failed", "stopped"] as const) ended.inc({ result }, 0);
  return {
    prefetchEnded: (result: "ready" | "failed" | "stopped") => ended.inc({ result }),
    prefetchUsed: () => used.inc(),
    prefetchYielded: () => yielded.inc(),
    observePrefetches: (prefetcher: Pick<Prefetcher, "aheadBytes" | "budgetBytes">) => {
      for (const [name, help, read] of [
        ["ahead_bytes", "Bytes of images brought ahead of need and not asked for yet.", () => prefetcher.aheadBytes],
        ["budget_bytes", "Bytes that those may have that popularity brings.", () => prefetcher.budgetBytes],
      ] as const) {
        new Gauge({
          name: `bootswarm_agent_prefetch_${name}`,
          help,
          registers,
          collect() {
            this.set(read());
          },
        });
      }
    },
  };
}

function scrubMetrics(registers: Registry[]): AgentMetrics["scrub"] {
  const bytes = new Counter({
    name: "bootswarm_agent_scrub_bytes_total",
    help: "Bytes of cached images read by the scrub.",
    registers,
  });
  const damage = new Counter({
    name: "bootswarm_agent_scrub_damage_total",
    help: "Damage found in cached images, by kind.",
    labelNames: ["kind"] as const,
    registers,
  });
  const repairs = new Counter({
    name: "bootswarm_agent_scrub_repairs_total",
    help: "Repairs of damaged images, by result.",
    labelNames: ["result"] as const,
    registers,
  });
  for (const kind of ["hash", "read"]) damage.inc({ kind }, 0);
  for (const result of ["repaired", "failed"]) repairs.inc({ result }, 0);
  return {
    onBytes: (count) => bytes.inc(count),
    onDamage: (kind) => damage.inc({ kind }),
    onRepair: (result) => repairs.inc({ result }),
  };
}

function demandMetrics(registers: Registry[]): AgentMetrics["disks"] {
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

function observe(registry: Registry, { cache, fetches, swarm, origin, leases, seeders }: MetricsSources): void {
  const registers = [registry];
  const gauge = (name: string, help: string, read: () => number) => {
    new Gauge({ name: `bootswarm_agent_${name}`, help, registers, collect: collector(read) });
  };
  const counter = (name: string, help: string, read: () => number) => {
    new Counter({ name: `bootswarm_agent_${name}`, help, registers, collect: total(read) });
  };
  gauge("fetches_active", "Fetches that are active.", () => fetches.activeCount);
  gauge("fetches_queued", "Fetches that wait.", () => fetches.queuedCount);
  gauge(
    "fetches_waiting_for_space",
    "Queued fetches that wait for room on the disk.",
    () => fetches.waitingForSpaceCount,
  );
  new Gauge({
    name: "bootswarm_agent_fetches_paused",
    help: "Fetches that wait for the disk, by what is wrong with it.",
    labelNames: ["fault"] as const,
    registers,
    collect() {
      for (const fault of diskFaults) this.set({ fault }, fetches.pausedCount(fault));
    },
  });
  gauge("images_cached", "Complete images in the cache.", () => cache.list().filter(({ complete }) => complete).length);
  gauge(
    "images_damaged",
    "Images that were found damaged and are not yet right again.",
    () => cache.list().filter(({ record }) => record.damage !== undefined).length,
  );
  gauge("cache_bytes", "Bytes on disk of complete images.", () => cache.completeBytes);
  gauge("leases", "Leases on images.", () => leases.count);
  new Gauge({
    name: "bootswarm_agent_seeder_in_use",
    help: "1 for the seeder that is asked now, 0 for the others that may be.",
    labelNames: ["url"] as const,
    registers,
    collect() {
      this.reset();
      for (const { url, inUse } of seeders.list()) this.set({ url }, inUse ? 1 : 0);
    },
  });
  counter("seeder_moves_total", "How often another seeder was turned to.", () => seeders.moves);
  gauge("peers", "Connected peers.", () => swarm.status().peers);
  gauge("dht_nodes", "Nodes in the DHT's routing table.", () => swarm.status().dhtNodes);
  gauge(
    "seconds_since_progress",
    "The longest that any active fetch has received nothing; 0 with none active.",
    () => fetches.quietSeconds,
  );
  counter("sent_bytes_total", "Bytes of images sent to peers.", () => swarm.status().sentBytes);
  counter("wasted_bytes_total", "Bytes from peers that were not needed: twice, or not any more.", () => {
    return swarm.status().wastedBytes;
  });
  counter(
    "hedged_blocks_total",
    "Blocks that were late and asked of one more peer.",
    () => swarm.status().hedgedBlocks,
  );
  new Counter({
    name: "bootswarm_agent_demanded_bytes_total",
    help: "Bytes received of pieces that a disk's read waited for, by source.",
    labelNames: ["source"] as const,
    registers,
    collect() {
      this.reset();
      const { peer, source } = swarm.status().demandedBytes;
      this.inc({ source: "swarm" }, peer);
      this.inc({ source: "http" }, source);
    },
  });
  counter("piece_verify_failures_total", "Pieces that failed their hash.", () => swarm.status().verifyFailures);
  new Counter({
    name: "bootswarm_agent_received_bytes_total",
    help: "Bytes of images received, by source.",
    labelNames: ["source"] as const,
    registers,
    collect() {
      this.reset();
      this.inc({ source: "swarm" }, swarm.status().receivedBytes);
      this.inc({ source: "http" }, origin.receivedBytes);
    },
  });
}

function observeDisks(registers: Registry[], { attachments, totals }: DiskSources): void {
  new Gauge({
    name: "bootswarm_agent_disks",
    help: "Disks that are attached, by state.",
    labelNames: ["state"] as const,
    registers,
    collect() {
      const disks = attachments.list();
      for (const state of attachmentStates) this.set({ state }, disks.filter((disk) => disk.state === state).length);
    },
  });
  new Gauge({
    name: "bootswarm_agent_disk_connections",
    help: "NBD connections to disks.",
    registers,
    collect: collector(() => totals.connections),
  });
  new Counter({
    name: "bootswarm_agent_disk_read_bytes_total",
    help: "Bytes read of disks, by where they came from: a boot image in memory, the image's file, or a wait for them.",
    labelNames: ["source"] as const,
    registers,
    collect() {
      this.reset();
      for (const source of readSources) this.inc({ source }, totals.bytesFrom(source));
    },
  });
  new Counter({
    name: "bootswarm_agent_disk_read_errors_total",
    help: "Reads of disks that failed.",
    registers,
    collect: total(() => totals.errors),
  });
}

function collector(read: () => number) {
  return function (this: Gauge) {
    this.set(read());
  };
}

/** A counter whose count is kept elsewhere. */
function total(read: () => number) {
  return function (this: Counter) {
    this.reset();
    this.inc(read());
  };
}
