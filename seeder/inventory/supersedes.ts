/** Which of two seeders' words about a node counts: pure, and the same in the store's SQL (kysely-inventory-store.ts). */
import type { SharedNode } from "./facts.ts";

/**
 * Whether a report came after another one of the same node. Within an epoch of the agent its own count says so. An agent
 * that has started again counts anew: then it is the time, which all seeders take from the store's clock.
 */
export function supersedes(
  report: Pick<SharedNode, "epoch" | "sequence" | "reportedAtMs">,
  other: Pick<SharedNode, "epoch" | "sequence" | "reportedAtMs">,
): boolean {
  if (report.epoch === other.epoch) return report.sequence > other.sequence;
  return report.reportedAtMs > other.reportedAtMs;
}
