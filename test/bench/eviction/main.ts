/**
 * npm run bench:eviction: how often an image is there when a VM is launched from it, under the agent's eviction and under
 * others', at equal space. Launches follow Zipf's law. Writes eviction-<date>.json and .svg.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { commandLine } from "../command-line.ts";
import { runFacts } from "../machine.ts";
import { mean, rounded } from "../statistics.ts";
import { type EvictionReport, evictionPlot, type Figures } from "./plot.ts";
import { type PolicyName, policies, replay } from "./replay.ts";
import { traceOf, type Workload } from "./trace.ts";

/** Cache sizes, as shares of the bytes of all images. */
const shares = [0.025, 0.05, 0.1, 0.2, 0.4];

const values = commandLine(
  "bench:eviction",
  "how often an image is there when a VM is launched from it, by eviction policy, at equal space",
  {
    seeds: { default: 5, means: "traces of launches" },
    launches: { default: 12000, means: "launches of each" },
    out: { value: "DIR", default: join(import.meta.dirname, "../results"), means: "where the report and its plot go" },
    plot: { value: "FILE.json", means: "only draw the plot of a report" },
  },
);

if (values.plot) {
  const report = JSON.parse(readFileSync(values.plot, "utf8")) as EvictionReport;
  writeFileSync(values.plot.replace(/\.json$/, ".svg"), evictionPlot(report));
} else {
  const facts = runFacts();
  const report: EvictionReport = { ...facts, seeds: values.seeds, workloads: [] };
  const common = { images: 300, launches: values.launches, launchesPerHour: 4, skew: 0.9 };
  for (const workload of [
    { ...common, name: "popularity stays", launchesPerRelease: 0 },
    { ...common, name: "images are superseded", launchesPerRelease: 20 },
  ]) {
    report.workloads.push({ ...workload, runs: measure(workload) });
  }
  const base = join(values.out, `eviction-${facts.date.slice(0, 10)}`);
  writeFileSync(`${base}.json`, `${JSON.stringify(report, undefined, 2)}\n`);
  writeFileSync(`${base}.svg`, evictionPlot(report));
}

function measure(workload: Workload): EvictionReport["workloads"][number]["runs"] {
  const seeds = Array.from({ length: values.seeds }, (_, index) => index + 1);
  const traces = seeds.map((seed) => traceOf(workload, seed));
  const warmUp = Math.floor(workload.launches / 4);
  const runs = shares.map((share) => {
    const figuresOf = (policy: PolicyName): Figures => {
      const replays = traces.map((each) => replay(each.launches, each.catalogBytes * share, policy, warmUp));
      return {
        hitRates: replays.map(({ hitRate }) => rounded(hitRate, 4)),
        byteHitRates: replays.map(({ byteHitRate }) => rounded(byteHitRate, 4)),
      };
    };
    const byPolicy = Object.fromEntries(policies.map((policy) => [policy, figuresOf(policy)]));
    return { share, policies: byPolicy as Record<PolicyName, Figures> };
  });
  console.log(`${workload.name}: hit rate / byte hit rate, mean of ${seeds.length} seeds`);
  console.table(
    Object.fromEntries(
      runs.map((run) => [
        `${run.share * 100} %`,
        Object.fromEntries(policies.map((policy) => [policy, meansText(run.policies[policy])])),
      ]),
    ),
  );
  return runs;
}

function meansText({ hitRates, byteHitRates }: Figures): string {
  return [hitRates, byteHitRates].map((rates) => `${(mean(rates) * 100).toFixed(1)} %`).join(" / ");
}
