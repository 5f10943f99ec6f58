/** Metrics of the inventory's store: what is written and read, what fails, and how far it lags behind. */
import { Counter, Histogram, type Registry } from "prom-client";
import { scrapedMetrics } from "../daemon/metrics.ts";
import type { InventoryKeeper } from "./inventory/inventory-keeper.ts";
import type { StoreObserver } from "./inventory/store-sync.ts";

/** Makes what is counted as the store is used. */
export function createStoreMetrics(registry: Registry): StoreObserver {
  const registers = [registry];
  const operations = new Counter({
    name: "bootswarm_seeder_store_operations_total",
    help: "Writes and reads of the inventory's store, by operation (write, read) and result (ok, failed)",
    labelNames: ["operation", "result"],
    registers,
  });
  const seconds = new Histogram({
    name: "bootswarm_seeder_store_seconds",
    help: "Time of one write or read of the inventory's store, by operation",
    labelNames: ["operation"],
    buckets: [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10],
    registers,
  });
  const nodes = new Counter({
    name: "bootswarm_seeder_store_nodes_total",
    help: "Nodes written to the inventory's store, and read that other seeders wrote, by operation",
    labelNames: ["operation"],
    registers,
  });
  const observed = (operation: string) => (result: "ok" | "failed", tookSeconds: number, nodeCount: number) => {
    operations.inc({ operation, result });
    seconds.observe({ operation }, tookSeconds);
    nodes.inc({ operation }, nodeCount);
  };
  for (const operation of ["write", "read"]) {
    for (const result of ["ok", "failed"]) operations.inc({ operation, result }, 0);
    nodes.inc({ operation }, 0);
  }
  return { wrote: observed("write"), read: observed("read") };
}

/** Makes what is read from the inventory's keeper when metrics are asked for. */
export function observeStore(registry: Registry, saving: InventoryKeeper["saving"]): void {
  const { gauge } = scrapedMetrics(registry);
  gauge(
    "bootswarm_seeder_store_unsaved_nodes",
    "Nodes with changes that are not yet in the store",
    () => saving.unsavedNodes,
  );
  gauge(
    "bootswarm_seeder_store_behind_seconds",
    "Time since the inventory and its store were last in step",
    () => saving.behindMs / 1_000,
  );
}
