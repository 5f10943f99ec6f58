import { Counter, Histogram, type Registry } from "prom-client";
import { scrapedMetrics } from "../daemon/metrics.ts";
import type { Swarm } from "../swarm/swarm.ts";
import { diskFaults } from "./cache/disk-fault.ts";
import type { ImageCache } from "./cache/image-cache.ts";
import type { Fetch } from "./fetch/fetch.ts";
import type { Fetches } from "./fetch/fetches.ts";
import type { HttpOrigin } from "./fetch/http-origin.ts";
import type { Leases } from "./leases.ts";
import type { Seeders } from "./seeders/seeders.ts";

/** From what loopback does with a small image to what a thin link does with a large one. */
const fetchSecondsBuckets = [0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_200, 3_600];

/** What the agent counts as it happens; its parts have metrics of their own. */
export interface AgentMetrics {
  fetchEnded(fetch: Fetch): void;
  reported(result: "ok" | "failed"): void;
  evicted(freedBytes: number): void;
}

/** What is read when metrics are asked for. */
export interface MetricSources {
  cache: ImageCache;
  fetches: Fetches;
  swarm: Swarm;
  origin: HttpOrigin;
  leases: Leases;
  seeders: Seeders;
}

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
  };
}

/** Makes the metrics that are read from the agent's parts at each scrape. */
export function observeAgent(registry: Registry, sources: MetricSources): void {
  observeFetches(registry, sources);
  observeCache(registry, sources);
  observeSwarm(registry, sources);
  const { seeders } = sources;
  const { counter, gaugeBy } = scrapedMetrics(registry);
  gaugeBy(
    "url",
    "bootswarm_agent_seeder_in_use",
    "1 for the seeder that is asked now, 0 for the others that may be.",
    () => seeders.list().map(({ url, inUse }) => [url, inUse ? 1 : 0] as const),
  );
  counter("bootswarm_agent_seeder_moves_total", "How often another seeder was turned to.", () => seeders.moves);
}

function observeFetches(registry: Registry, { fetches }: MetricSources): void {
  const { gauge, gaugeBy } = scrapedMetrics(registry);
  gauge("bootswarm_agent_fetches_active", "Fetches that are active.", () => fetches.activeCount);
  gauge("bootswarm_agent_fetches_queued", "Fetches that wait.", () => fetches.queuedCount);
  gauge(
    "bootswarm_agent_fetches_waiting_for_space",
    "Queued fetches that wait for room on the disk.",
    () => fetches.waitingForSpaceCount,
  );
  gaugeBy("fault", "bootswarm_agent_fetches_paused", "Fetches that wait for the disk, by what is wrong with it.", () =>
    diskFaults.map((fault) => [fault, fetches.pausedCount(fault)] as const),
  );
  gauge(
    "bootswarm_agent_seconds_since_progress",
    "The longest that any active fetch has received nothing; 0 with none active.",
    () => fetches.quietSeconds,
  );
}

function observeCache(registry: Registry, { cache, leases }: MetricSources): void {
  const { gauge } = scrapedMetrics(registry);
  gauge(
    "bootswarm_agent_images_cached",
    "Complete images in the cache.",
    () => cache.list().filter(({ complete }) => complete).length,
  );
  gauge(
    "bootswarm_agent_images_damaged",
    "Images that were found damaged and are not yet right again.",
    () => cache.list().filter(({ record }) => record.damage !== undefined).length,
  );
  gauge("bootswarm_agent_cache_bytes", "Bytes on disk of complete images.", () => cache.completeBytes);
  gauge("bootswarm_agent_leases", "Leases on images.", () => leases.count);
}

function observeSwarm(registry: Registry, { swarm, origin }: MetricSources): void {
  const { gauge, counter, counterBy } = scrapedMetrics(registry);
  gauge("bootswarm_agent_peers", "Connected peers.", () => swarm.status().peers);
  gauge("bootswarm_agent_dht_nodes", "Nodes in the DHT's routing table.", () => swarm.status().dhtNodes);
  counter("bootswarm_agent_sent_bytes_total", "Bytes of images sent to peers.", () => swarm.status().sentBytes);
  counter(
    "bootswarm_agent_wasted_bytes_total",
    "Bytes from peers that were not needed: twice, or not any more.",
    () => swarm.status().wastedBytes,
  );
  counter(
    "bootswarm_agent_hedged_blocks_total",
    "Blocks that were late and asked of one more peer.",
    () => swarm.status().hedgedBlocks,
  );
  counterBy(
    "source",
    "bootswarm_agent_demanded_bytes_total",
    "Bytes received of pieces that a disk's read waited for, by source.",
    () => {
      const { peer, source } = swarm.status().demandedBytes;
      return Object.entries({ swarm: peer, http: source });
    },
  );
  counter(
    "bootswarm_agent_piece_verify_failures_total",
    "Pieces that failed their hash.",
    () => swarm.status().verifyFailures,
  );
  counterBy("source", "bootswarm_agent_received_bytes_total", "Bytes of images received, by source.", () =>
    Object.entries({ swarm: swarm.status().receivedBytes, http: origin.receivedBytes }),
  );
}
