import { Counter, collectDefaultMetrics, Gauge, Registry } from "prom-client";

/** prom-client's gauges whose names end as a counter's must: Prometheus's own linter refuses them. */
const misnamed = ["nodejs_active_handles_total", "nodejs_active_requests_total", "nodejs_active_resources_total"];

/** A registry of one daemon's metrics, the process's own included. One per daemon, so that tests can run several. */
export function createMetrics(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  for (const name of misnamed) registry.removeSingleMetric(name);
  return registry;
}

/** Reads a metric's values, each with that of its label. */
type ByLabel = () => Iterable<readonly [label: string, value: number]>;

/** Adds metrics to a registry that are kept elsewhere, and read at each scrape. */
export interface ScrapedMetrics {
  gauge(name: string, help: string, read: () => number): void;
  /** What is read never goes down. */
  counter(name: string, help: string, read: () => number): void;
  /** Has the values of `label` that are read, and no others. */
  gaugeBy(label: string, name: string, help: string, read: ByLabel): void;
  counterBy(label: string, name: string, help: string, read: ByLabel): void;
}

export function scrapedMetrics(registry: Registry): ScrapedMetrics {
  const registers = [registry];
  return {
    gauge(name, help, read) {
      new Gauge({
        ...{ name, help, registers },
        collect() {
          this.set(read());
        },
      });
    },
    counter(name, help, read) {
      new Counter({
        ...{ name, help, registers },
        collect() {
          this.reset();
          this.inc(read());
        },
      });
    },
    gaugeBy(label, name, help, read) {
      new Gauge({
        ...{ name, help, registers, labelNames: [label] },
        collect() {
          this.reset();
          for (const [labelled, value] of read()) this.set({ [label]: labelled }, value);
        },
      });
    },
    counterBy(label, name, help, read) {
      new Counter({
        ...{ name, help, registers, labelNames: [label] },
        collect() {
          this.reset();
          for (const [labelled, value] of read()) this.inc({ [label]: labelled }, value);
        },
      });
    },
  };
}
