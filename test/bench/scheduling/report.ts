/** What is written of a whole bench: JSON, and plots beside it. `node report.ts FILE.json...` draws the plots anew. */
import { readFileSync, writeFileSync } from "node:fs";
import { runFacts } from "../machine.ts";
import { rounded } from "../statistics.ts";
import type { BenchOptions } from "./options.ts";
import { densityPlot } from "./plots/density.ts";
import { scatterPlot } from "./plots/scatter.ts";
import { groupsOf, type RunResult, type Summary, summaryOf } from "./results.ts";

type Setting = Pick<
  BenchOptions,
  | "nodes"
  | "linkBitsPerSecond"
  | "images"
  | "imageBytes"
  | "timeScale"
  | "hours"
  | "burst"
  | "vmsPerHostMax"
  | "meanLifeMinutes"
  | "cacheImages"
  | "sideBySide"
  | "agentSettings"
  | "seederSettings"
>;

export interface Report extends Setting {
  date: string;
  machine: string;
  node: string;
  summary: Summary[];
  runs: RunResult[];
}

export function reportOf(options: BenchOptions, runs: RunResult[]): Report {
  const { nodes, linkBitsPerSecond, images, imageBytes, timeScale, hours, vmsPerHostMax, meanLifeMinutes } = options;
  const { burst, cacheImages, sideBySide, agentSettings, seederSettings } = options;
  return {
    ...runFacts(),
    ...{ nodes, linkBitsPerSecond, images, imageBytes, timeScale, hours, vmsPerHostMax, meanLifeMinutes },
    ...{ burst, cacheImages, sideBySide, agentSettings, seederSettings },
    summary: groupsOf(runs).map(summaryOf),
    runs,
  };
}

/** Writes FILE.json, and FILE-NAME.svg for each plot. */
export function writeReport(path: string, report: Report): void {
  const { runs, ...rest } = report;
  // A run has a hundred VMs: one run a line.
  const lines = runs.map((run) => `    ${JSON.stringify(run, figuresRounded)}`).join(",\n");
  const head = JSON.stringify(rest, figuresRounded, 2).replace(/\n\}$/, "");
  writeFileSync(path, `${head},\n  "runs": [\n${lines}\n  ]\n}\n`);
  writePlots(path, report);
}

/** For JSON: milliseconds, and thousandths of whatever else, are enough. */
export function figuresRounded(_key: string, value: unknown): unknown {
  return typeof value === "number" ? rounded(value, 3) : value;
}

function writePlots(path: string, report: Report): void {
  const rates = [...new Set(report.runs.map((run) => run.vmsPerHour))];
  const plots = [
    ["density", densityPlot(report)],
    ...rates.map((rate) => [`scatter-${rate}`, scatterPlot(report, rate)]),
  ] as [string, string][];
  for (const [name, svg] of plots) {
    const plotPath = `${path.replace(/\.json$/, "")}-${name}.svg`;
    writeFileSync(plotPath, svg);
    console.log(plotPath);
  }
}

if (import.meta.main) {
  for (const path of process.argv.slice(2)) writePlots(path, JSON.parse(readFileSync(path, "utf8")) as Report);
}
