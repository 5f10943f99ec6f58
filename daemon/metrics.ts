import { collectDefaultMetrics, Registry } from "prom-client";

/** A registry of one daemon's metrics, the process's own included. One per daemon, so that tests can run several. */
export function createMetrics(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  return registry;
}
