import type { Registry } from "prom-client";
import { scrapedMetrics } from "../../daemon/metrics.ts";
import type { Boots } from "./boots.ts";

export type BootSources = Pick<Boots, "stats" | "images" | "recorded">;

/** Makes the metrics of boot images and recordings, which are read at each scrape. */
export function observeBoots(registry: Registry, boots: BootSources): void {
  const { gauge, counter, counterBy } = scrapedMetrics(registry);
  gauge("bootswarm_agent_boot_images_in_memory", "Images whose boot image is in memory.", () => boots.stats.images);
  gauge("bootswarm_agent_boot_memory_bytes", "Bytes of boot images in memory.", () => boots.stats.bytes);
  gauge(
    "bootswarm_agent_boot_memory_shared_bytes",
    "Bytes that would be in memory more if boot images did not share blocks.",
    () => boots.stats.sharedBytes,
  );
  counter(
    "bootswarm_agent_boot_reads_total",
    "Reads of disks that boot images had all or some of.",
    () => boots.stats.reads,
  );
  counter(
    "bootswarm_agent_boot_hits_total",
    "Reads of disks that boot images had all of.",
    () => boots.stats.wholeReads,
  );
  counter(
    "bootswarm_agent_boot_bad_images_total",
    "Boot images that were damaged, or did not fit.",
    () => boots.images.badCount,
  );
  counterBy("result", "bootswarm_agent_boot_recordings_total", "Recordings of boots that have ended, by result.", () =>
    Object.entries(boots.recorded),
  );
}
