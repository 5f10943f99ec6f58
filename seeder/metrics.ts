import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import { scrapedMetrics } from "../daemon/metrics.ts";
import type { Swarm } from "../swarm/swarm.ts";
import type { Catalog } from "./catalog/catalog.ts";
import type { Image } from "./catalog/image.ts";
import type { ReportPacing } from "./inventory/pacing.ts";
import type { FallbackBudget, FallbackMode } from "./origin/fallback-budget.ts";
import type { UploadResult } from "./origin/upload.ts";

/** What the parts of a seeder report as they work; the rest is read when metrics are asked for. */
export interface SeederMetrics {
  uploadEnded(result: UploadResult, receivedBytes: number): void;
  published(seconds: number): void;
  /** `mode`: of an image that peers have too. */
  originSent(bytes: number, mode: FallbackMode | undefined): void;
  originAnswered(status: number): void;
  /** Bytes received of images that other seeders hold. */
  copied(bytes: number, source: "swarm" | "http"): void;
  copyEnded(result: "copied" | "failed"): void;
  reported(kind: "full" | "delta" | "refused", seconds: number): void;
  diverged(): void;
}

/** What is read when metrics are asked for. */
export interface MetricSources {
  catalog: Pick<Catalog, "list">;
  swarm: Pick<Swarm, "status">;
  nodeCounts: () => { up: number; lost: number };
  pacing: Pick<ReportPacing, "stretch" | "waiting">;
  fallback: Pick<FallbackBudget, "slotsInUse" | "waiting" | "refused">;
  /** Seeders of this catalog by state, this one among them. */
  replicaCounts: () => { up: number; lost: number };
  /** Images of the catalog that are not here. */
  missingImages: () => number;
}

/** Makes a seeder's counters and histograms. */
export function createSeederMetrics(registry: Registry): SeederMetrics {
  const registers = [registry];
  const uploads = new Counter({
    name: "bootswarm_seeder_uploads_total",
    help: "Uploads that have ended, by result: published, unchanged, refused, cut or failed",
    labelNames: ["result"],
    registers,
  });
  const uploadBytes = new Counter({
    name: "bootswarm_seeder_upload_bytes_total",
    help: "Bytes received by uploads, whatever became of them",
    registers,
  });
  const publishSeconds = new Histogram({
    name: "bootswarm_seeder_publish_seconds",
    help: "Time from the first byte of an upload or import to the published image",
    buckets: [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1_000, 3_000],
    registers,
  });
  const originBytes = new Counter({
    name: "bootswarm_seeder_origin_sent_bytes_total",
    help: "Image bytes sent by HTTP",
    registers,
  });
  const fallbackBytes = new Counter({
    name: "bootswarm_seeder_fallback_sent_bytes_total",
    help: "Of those, bytes of images that have a magnet link, by mode: budgeted or always (outside the budget)",
    labelNames: ["mode"],
    registers,
  });
  for (const mode of ["budgeted", "always"]) fallbackBytes.inc({ mode }, 0);
  const originRequests = new Counter({
    name: "bootswarm_seeder_origin_requests_total",
    help: "HTTP requests for image bytes and torrents, and uploads, by status code",
    labelNames: ["code"],
    registers,
  });
  const reports = new Counter({
    name: "bootswarm_seeder_reports_total",
    help: "Reports of nodes, by kind: full, delta or refused",
    labelNames: ["kind"],
    registers,
  });
  const reportSeconds = new Histogram({
    name: "bootswarm_seeder_report_seconds",
    help: "Time to take in one report",
    buckets: [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3],
    registers,
  });
  const diverged = new Counter({
    name: "bootswarm_seeder_reports_diverged_total",
    help: "Reports whose checksum disagreed with what had been told; each is healed by a full report",
    registers,
  });
  const copiedBytes = new Counter({
    name: "bootswarm_seeder_copied_bytes_total",
    help: "Bytes received of images that other seeders hold, by source: swarm or http",
    labelNames: ["source"],
    registers,
  });
  const copies = new Counter({
    name: "bootswarm_seeder_copies_total",
    help: "Copies of images that other seeders hold, by result: copied or failed",
    labelNames: ["result"],
    registers,
  });
  for (const source of ["swarm", "http"]) copiedBytes.inc({ source }, 0);
  for (const result of ["copied", "failed"]) copies.inc({ result }, 0);
  return {
    copied: (bytes, source) => copiedBytes.inc({ source }, bytes),
    copyEnded: (result) => copies.inc({ result }),
    uploadEnded: (result, receivedBytes) => {
      uploads.inc({ result });
      uploadBytes.inc(receivedBytes);
    },
    published: (seconds) => publishSeconds.observe(seconds),
    originSent: (bytes, mode) => {
      originBytes.inc(bytes);
      if (mode) fallbackBytes.inc({ mode }, bytes);
    },
    originAnswered: (status) => originRequests.inc({ code: String(status) }),
    reported: (kind, seconds) => {
      reports.inc({ kind });
      reportSeconds.observe(seconds);
    },
    diverged: () => diverged.inc(),
  };
}

/** Makes the metrics that are read from the seeder's parts when they are asked for. */
export function observeSeeder(registry: Registry, sources: MetricSources): void {
  const { catalog, swarm, nodeCounts, pacing, fallback, replicaCounts, missingImages } = sources;
  const registers = [registry];
  const catalogGauge = (name: string, help: string, read: (images: Image[]) => number) =>
    new Gauge({
      name,
      help,
      registers,
      async collect() {
        // While the database is away it stays as it was: all other metrics are wanted then more than ever.
        const images = await catalog.list().catch(() => undefined);
        if (images) this.set(read(images));
      },
    });
  catalogGauge("bootswarm_seeder_images", "Images in the catalog", (images) => images.length - bootImages(images));
  catalogGauge("bootswarm_seeder_boot_images", "Boot images in the catalog", bootImages);
  catalogGauge("bootswarm_seeder_images_bytes", "Bytes of all images and boot images in the catalog", (images) =>
    images.reduce((sum, image) => sum + image.sizeBytes, 0),
  );
  const { gauge, counter, gaugeBy } = scrapedMetrics(registry);
  counter("bootswarm_seeder_sent_bytes_total", "Image bytes sent to peers", () => swarm.status().sentBytes);
  gauge("bootswarm_seeder_peers", "Connected peers", () => swarm.status().peers);
  gauge("bootswarm_seeder_dht_nodes", "Nodes in the DHT's routing table", () => swarm.status().dhtNodes);
  gauge(
    "bootswarm_seeder_report_stretch",
    "How many times longer nodes rest as the seeder is busy",
    () => pacing.stretch,
  );
  gauge("bootswarm_seeder_full_reports_waiting", "Nodes told to wait with a full report", () => pacing.waiting);
  gauge("bootswarm_seeder_fallback_slots_in_use", "Slots in use (origin.fallbackSlots)", () => fallback.slotsInUse);
  gauge("bootswarm_seeder_fallback_nodes_waiting", "Nodes told to ask again for a slot", () => fallback.waiting);
  counter(
    "bootswarm_seeder_fallback_refused_total",
    "Requests refused for want of a slot, with a time to ask again",
    () => fallback.refused,
  );
  gauge("bootswarm_seeder_torrents", "Images served to peers", () => swarm.status().torrents);
  gauge("bootswarm_seeder_images_missing", "Images of the catalog that are to be copied from others", missingImages);
  gaugeBy(
    "state",
    "bootswarm_seeder_replicas",
    "Seeders that share the catalog, by state: up (this one among them) or lost",
    () => Object.entries(replicaCounts()),
  );
  gaugeBy("state", "bootswarm_seeder_nodes", "Nodes that have reported, by state: up or lost", () =>
    Object.entries(nodeCounts()),
  );
}

function bootImages(images: readonly Image[]): number {
  return images.filter(({ boot }) => boot !== undefined).length;
}
