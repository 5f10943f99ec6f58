/** What is written of a whole bench: JSON, and plots beside it. `node report.ts FILE.json...` draws the plots anew. */
import { readFileSync, writeFileSync } from "node:fs";
import { runFacts } from "../machine.ts";
import type { BenchOptions } from "./options.ts";
import { plotsOf } from "./plots.ts";
import type { RunResult } from "./results.ts";
import { groupsOf, type Summary, summaryOf } from "./summary.ts";

export interface Report {
  date: string;
  machine: string;
  node: string;
  linkBitsPerSecond: number;
  zones: number;
  zoneLinkBitsPerSecond: number;
  agentSettings: string[];
  seederSettings: string[];
  noDht: boolean;
  warmUpBytes: number;
  /** Of the link's nominal rate. */
  singleStreamShare: number;
  congestionControl: string;
  sysctls: string[];
  summary: Summary[];
  runs: RunResult[];
}

export function reportOf(
  options: BenchOptions,
  link: Pick<Report, "singleStreamShare" | "congestionControl">,
  runs: RunResult[],
): Report {
  const { linkBitsPerSecond, zones, zoneLinkBitsPerSecond, agentSettings, seederSettings, noDht, warmUpBytes } =
    options;
  return {
    ...runFacts(),
    linkBitsPerSecond,
    zones,
    zoneLinkBitsPerSecond,
    agentSettings,
    seederSettings,
    noDht,
    warmUpBytes,
    ...link,
    sysctls: options.sysctls,
    summary: groupsOf(runs).map(summaryOf),
    runs,
  };
}

/** Writes FILE.json, and FILE-NAME.svg for each plot. */
export function writeReport(path: string, report: Report): void {
  const { runs, ...rest } = report;
  // A run has hundreds of figures: one run a line.
  const lines = runs.map((run) => `    ${JSON.stringify(run)}`).join(",\n");
  const head = JSON.stringify(rest, undefined, 2).replace(/\n\}$/, "");
  writeFileSync(path, `${head},\n  "runs": [\n${lines}\n  ]\n}\n`);
  writePlots(path, report);
}

function writePlots(path: string, report: Report): void {
  for (const [name, svg] of Object.entries(plotsOf(report))) {
    const plotPath = `${path.replace(/\.json$/, "")}-${name}.svg`;
    writeFileSync(plotPath, svg);
    console.log(plotPath);
  }
}

if (import.meta.main) {
  for (const path of process.argv.slice(2)) writePlots(path, JSON.parse(readFileSync(path, "utf8")) as Report);
}
