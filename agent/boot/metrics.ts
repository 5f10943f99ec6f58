import { Counter, Gauge, type Registry } from "prom-client";
import type { Boots } from "./boots.ts";

export type BootSources = Pick<Boots, "stats" | "images" | "recorded">;

/** Registers the metrics of boot images and recordings, which are read at each scrape. */
export function observeBoots(registers: Registry[], boots: BootSources): void {
  const gauge = (name: string, help: string, read: () => number) => {
    new Gauge({
      name: `bootswarm_agent_boot_${name}`,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  };
  const counter = (name: string, help: string, read: () => number) => {
    new Counter({
      name: `bootswarm_agent_boot_${name}`,
      help,
      registers,
      collect() {
        this.reset();
        this.inc(read());
      },
    });
  };
  gauge("images_in_memory", "Images whose boot image is in memory.", () => boots.stats.images);
  gauge("memory_bytes", "Bytes of boot images in memory.", () => boots.stats.bytes);
  gauge(
    "memory_shared_bytes",
    "Bytes that would be in memory more if boot images did not share blocks.",
    () => boots.stats.sharedBytes,
  );
  counter("reads_total", "Reads of disks that boot images had all or some of.", () => boots.stats.reads);
  counter("hits_total", "Reads of disks that boot images had all of.", () => boots.stats.wholeReads);
  counter("bad_images_total", "Boot images that were damaged, or did not fit.", () => boots.images.badCount);
  new Counter({
    name: "bootswarm_agent_boot_recordings_total",
    help: "Recordings of boots that have ended, by result.",
    labelNames: ["result"] as const,
    registers,
    collect() {
      this.reset();
      for (const [result, count] of Object.entries(boots.recorded)) this.inc({ result }, count);
    },
  });
}
