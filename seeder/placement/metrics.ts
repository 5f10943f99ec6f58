import { Counter, Histogram, type Registry } from "prom-client";
import { type HostReason, hostReasons } from "./reasons.ts";

/** What placement reports as it works. */
export interface PlacementMetrics {
  /** `best`: what the best host had of the image; undefined if there was no host. */
  weighed(hosts: number, best: HostReason | undefined, seconds: number): void;
  /** `found`: what the node had of the image. */
  launched(found: HostReason | "told-before", count: number): void;
}

export function createPlacementMetrics(registry: Registry): PlacementMetrics {
  const registers = [registry];
  const seconds = new Histogram({
    name: "bootswarm_seeder_weigh_seconds",
    help: "Time to weigh the hosts of one request",
    buckets: [0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1],
    registers,
  });
  const hosts = new Histogram({
    name: "bootswarm_seeder_weigh_hosts",
    help: "Hosts weighed in one request",
    buckets: [1, 10, 100, 1_000, 10_000],
    registers,
  });
  const best = new Counter({
    name: "bootswarm_seeder_weigh_best_total",
    help: `Requests, by what the best host had of the image: ${hostReasons.join(", ")}`,
    labelNames: ["reason"],
    registers,
  });
  const launches = new Counter({
    name: "bootswarm_seeder_launches_total",
    help: `Launches told of, by what their node had of the image: as above, and told-before for repetitions`,
    labelNames: ["found"],
    registers,
  });
  return {
    weighed: (count, reason, duration) => {
      seconds.observe(duration);
      hosts.observe(count);
      if (reason) best.inc({ reason });
    },
    launched: (found, count) => launches.inc({ found }, count),
  };
}
