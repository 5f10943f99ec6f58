/** What is written of a whole bench: JSON, and plots beside it. `node report.ts FILE.json...` draws the plots anew. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
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

/** What runs must have in common to stand in one report. */
const labKeys = [
  "linkBitsPerSecond",
  "zones",
  "zoneLinkBitsPerSecond",
  "agentSettings",
  "seederSettings",
  "noDht",
  "warmUpBytes",
  "sysctls",
] as const satisfies (keyof BenchOptions & keyof Report)[];

type LabFacts = Pick<Report, (typeof labKeys)[number]>;

function labOf(options: LabFacts): LabFacts {
  return Object.fromEntries(labKeys.map((key) => [key, options[key]])) as unknown as LabFacts;
}

export function reportOf(
  options: BenchOptions,
  link: Pick<Report, "singleStreamShare" | "congestionControl">,
  runs: RunResult[],
): Report {
  return { ...runFacts(), ...labOf(options), ...link, summary: groupsOf(runs).map(summaryOf), runs };
}

/**
 * The runs that new ones are added to: none, without --append.
 *
 * @throws Error if they are of another lab.
 */
export function runsBefore(options: BenchOptions): RunResult[] {
  const { out, append } = options;
  if (out === undefined || !append || !existsSync(out)) return [];
  const before = JSON.parse(readFileSync(out, "utf8")) as Report;
  if (!isDeepStrictEqual(labOf(before), labOf(options)))
    throw new Error(`${out} has the results of other links, zones or settings: write to another file`);
  return before.runs;
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
