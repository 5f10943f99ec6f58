/** What is written of a bench: JSON, and a plot beside it. `node report.ts FILE.json...` draws the plots anew. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { runFacts } from "../machine.ts";
import type { BenchDisk } from "./disk.ts";
import type { BenchOptions } from "./options.ts";
import { bootPlot } from "./plot.ts";
import { type BootResult, type Summary, summariesOf } from "./results.ts";

export interface ReportFile {
  date: string;
  machine: string;
  node: string;
  accelerator: string;
  disk: Pick<BenchDisk, "sizeBytes" | "allocatedBytes" | "qcow2Bytes" | "sha256">;
  summary: Summary[];
  runs: BootResult[];
}

export class Report {
  readonly #path: string | undefined;
  readonly #file: ReportFile;

  private constructor(path: string | undefined, file: ReportFile) {
    this.#path = path;
    this.#file = file;
  }

  /** @throws Error if results are to be added to those of another disk. */
  static open({ out, append }: BenchOptions, disk: BenchDisk, accelerator: string): Report {
    const { sizeBytes, allocatedBytes, qcow2Bytes, sha256 } = disk;
    const facts = { ...runFacts(), accelerator };
    let runs: BootResult[] = [];
    if (out !== undefined && append && existsSync(out)) {
      const before = JSON.parse(readFileSync(out, "utf8")) as ReportFile;
      if (before.disk.sha256 !== sha256)
        throw new Error(`${out} has the results of another disk: write to another file`);
      runs = before.runs;
    }
    return new Report(out, { ...facts, disk: { sizeBytes, allocatedBytes, qcow2Bytes, sha256 }, summary: [], runs });
  }

  /** After each boot: one that fails must not take the others' results with it. */
  add(result: BootResult): void {
    this.#file.runs.push(result);
    this.#file.summary = summariesOf(this.#file.runs);
    const [summary] = summariesOf([result]) as [Summary];
    console.log(
      `${summary.link} ${summary.case}, ${summary.processors} processors: ${summary.seconds} s, ${summary.receivedMegabytes} MB a node`,
    );
    if (this.#path === undefined) return;
    const { runs, summary: all, ...rest } = this.#file;
    const lines = (list: object[]) => list.map((each) => `    ${JSON.stringify(each)}`).join(",\n");
    const head = JSON.stringify(rest, undefined, 2).replace(/\n\}$/, "");
    writeFileSync(this.#path, `${head},\n  "summary": [\n${lines(all)}\n  ],\n  "runs": [\n${lines(runs)}\n  ]\n}\n`);
    writePlot(this.#path, this.#file);
  }

  print(): void {
    console.table(this.#file.summary.map((each) => ({ ...each, secondsRange: each.secondsRange.join("-") })));
  }
}

function writePlot(path: string, file: ReportFile): void {
  writeFileSync(path.replace(/\.json$/, ".svg"), bootPlot(file));
}

if (import.meta.main) {
  for (const path of process.argv.slice(2)) {
    const file = JSON.parse(readFileSync(path, "utf8")) as ReportFile;
    writePlot(path, { ...file, summary: summariesOf(file.runs) });
  }
}
