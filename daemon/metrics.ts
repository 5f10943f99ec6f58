import { collectDefaultMetrics, Gauge, Registry } from "prom-client";

/** prom-client's gauges whose names end as a counter's must: Prometheus's own linter refuses them. */
const misnamed = ["nodejs_active_handles_total", "nodejs_active_requests_total", "nodejs_active_resources_total"];

/** A registry of one daemon's metrics, the process's own included. One per daemon, so that tests can run several. */
export function createMetrics(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  for (const name of misnamed) registry.removeSingleMetric(name);
  return registry;
}

/** What adds gauges to a registry whose values are read at each scrape. */
export function gaugesOf(registry: Registry): (name: string, help: string, read: () => number) => void {
  return (name, help, read) => {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read());
      },
    });
  };
}
