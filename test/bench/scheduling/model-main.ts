/**
 * npm run bench:scheduling:model [-- --seeds 200 --out FILE.json], and the other options of bench:scheduling that it has use
 * for: its experiment without a lab, over many traces. Seconds are the paper's. See model.ts.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { placementConfigSchema } from "../../../seeder/placement/config.ts";
import { runFacts } from "../machine.ts";
import { playModel } from "./model.ts";
import { optionsFrom, usage } from "./options.ts";
import { printSummaries } from "./print.ts";
import { figuresRounded } from "./report.ts";
import { groupsOf, type RunResult, summaryOf } from "./results.ts";
import type { Scenario } from "./scenarios.ts";
import { traceOf } from "./trace.ts";

/** What links and processors would tell: there are none. */
const notModelled = { seederImagesSent: 0, machineOwnPercent: 0, machineIdlePercent: 100, latestSeconds: 0 };
const notShown = ["seeder sent / image", "own CPU %", "idle %"];

// The paper's own images and links, where the command line says nothing else.
const options = optionsFrom(["--image-mb", "5000", "--link-mbit", "1000", "--seeds", "200", ...process.argv.slice(2)]);
if (options.help) process.stdout.write(usage);
else model();

function model(): void {
  const transferSeconds = (options.imageBytes * 8) / options.linkBitsPerSecond;
  const scenarios = options.scenarios.filter(({ prefetches }) => !prefetches);
  const summary = options.rates.flatMap((vmsPerHour) =>
    scenarios.flatMap((scenario) => groupsOf(playAll(scenario, vmsPerHour, transferSeconds)).map(summaryOf)),
  );
  printSummaries(summary, notShown);
  if (options.out === undefined) return;
  const { nodes, images, vmsPerHostMax, hours, meanLifeMinutes, burst } = options;
  const setting = { nodes, images, vmsPerHostMax, hours, meanLifeMinutes, burst, transferSeconds };
  const report = { ...runFacts(), ...setting, seeds: options.seeds, summary };
  mkdirSync(dirname(options.out), { recursive: true });
  writeFileSync(options.out, `${JSON.stringify(report, figuresRounded, 2)}\n`);
}

function playAll({ name, torrents, scheduling }: Scenario, vmsPerHour: number, transferSeconds: number): RunResult[] {
  const { launchHalfLifeMs, ...weights } = placementConfigSchema.parse({});
  const weighing =
    scheduling.kind === "random" ? undefined : { ...weights, countInFlight: true, ...scheduling.options };
  return Array.from({ length: options.seeds }, (_, index) => {
    const seed = options.firstSeed + index;
    const trace = traceOf({ ...options, vmsPerHour }, seed);
    const played = playModel(trace, { ...options, transferSeconds, torrents, weighing, launchHalfLifeMs }, seed);
    return { scenario: name, vmsPerHour, seed, ...notModelled, ...played };
  });
}
