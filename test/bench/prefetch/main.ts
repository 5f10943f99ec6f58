/**
 * npm run bench:prefetch: how many launches find their image on the node that placement chooses, with and without
 * prefetching by popularity. Writes prefetch-<date>.json and .svg.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { commandLine } from "../command-line.ts";
import { traceOf } from "../eviction/trace.ts";
import { runFacts } from "../machine.ts";
import { mean } from "../statistics.ts";
import { type CaseName, cases, type PrefetchReport, prefetchPlot } from "./plot.ts";
import { type Figures, replay } from "./replay.ts";

const skews = [0.7, 0.8, 0.9, 1, 1.1, 1.2];
const hourMs = 3_600_000;

const values = commandLine(
  "bench:prefetch",
  "how many launches find their image on the chosen node, with and without prefetching",
  {
    seeds: { default: 3, means: "traces of launches" },
    launches: { default: 6000, means: "launches of each" },
    out: { value: "DIR", default: join(import.meta.dirname, "../results"), means: "where the report and its plot go" },
    plot: { value: "FILE.json", means: "only draw the plot of a report" },
  },
);

if (values.plot) {
  const report = JSON.parse(readFileSync(values.plot, "utf8")) as PrefetchReport;
  writeFileSync(values.plot.replace(/\.json$/, ".svg"), prefetchPlot(report));
} else {
  const facts = runFacts();
  const shape = { nodes: 200, images: 200, launches: values.launches, launchesPerHour: 300 };
  const setting = {
    ...shape,
    cacheShare: 0.05,
    launchesPerRelease: 100,
    halfLifeHours: 6,
    seeds: values.seeds,
  };
  const report: PrefetchReport = { ...facts, setting, runs: skews.map((skew) => measure(skew, setting)) };
  console.table(
    Object.fromEntries(
      report.runs.map((run) => [
        run.skew,
        Object.fromEntries(
          cases.map(({ name }) => [
            name,
            `${(mean(run.cases[name].map(({ hitRate }) => hitRate)) * 100).toFixed(1)} %`,
          ]),
        ),
      ]),
    ),
  );
  const base = join(values.out, `prefetch-${facts.date.slice(0, 10)}`);
  writeFileSync(`${base}.json`, `${JSON.stringify(report, undefined, 2)}\n`);
  writeFileSync(`${base}.svg`, prefetchPlot(report));
}

function measure(skew: number, setting: PrefetchReport["setting"]): PrefetchReport["runs"][number] {
  const { nodes, launches, cacheShare, halfLifeHours } = setting;
  const seeds = Array.from({ length: setting.seeds }, (_, index) => index + 1);
  const figures = new Map<CaseName, Figures[]>(cases.map(({ name }) => [name, []]));
  for (const seed of seeds) {
    const trace = traceOf({ ...setting, name: "", skew }, seed);
    for (const { name, scheduler, prefetch } of cases) {
      const made = replay(trace.launches, {
        ...{ nodes, scheduler, prefetch, seed },
        cacheBytes: trace.catalogBytes * cacheShare,
        slots: 8,
        lifeMs: 4 * hourMs,
        halfLifeMs: halfLifeHours * hourMs,
        planIntervalMs: 300_000,
        zoneBytesPerSecond: 125e6,
        warmUp: Math.floor(launches / 4),
      });
      figures.get(name)?.push(made);
    }
  }
  return { skew, cases: Object.fromEntries(figures) as Record<CaseName, Figures[]> };
}
