import { Counter, type Registry } from "prom-client";

/** What the agent counts of the scrub, and of the repairs that come of it. */
export interface ScrubMetrics {
  onBytes(bytes: number): void;
  onDamage(kind: "hash" | "read"): void;
  onRepair(result: "repaired" | "failed"): void;
}

export function createScrubMetrics(registry: Registry): ScrubMetrics {
  const registers = [registry];
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
