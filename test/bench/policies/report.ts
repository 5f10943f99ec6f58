/** What is written of a bench: JSON, and a plot beside it. `node report.ts FILE.json...` draws the plots anew. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { runFacts } from "../machine.ts";
import type { BenchImage } from "./image.ts";
import type { BenchOptions } from "./options.ts";
import { policiesPlot } from "./plot.ts";
import { type ImageFigures, type PolicyResult, type Summary, summariesOf } from "./results.ts";
import type { DiskLimits } from "./throttle.ts";

export interface ReportFile {
  date: string;
  machine: string;
  node: string;
  disk: DiskLimits;
  guestSeconds: number;
  /** The boot that is replayed: how it was recorded. */
  recorded: { accelerator: string; guestSeconds: number; reads: number };
  images: ImageFigures[];
  summary: Summary[];
  runs: PolicyResult[];
}

export class Report {
  readonly #path: string | undefined;
  readonly #file: ReportFile;

  private constructor(path: string | undefined, file: ReportFile) {
    this.#path = path;
    this.#file = file;
  }

  /** @throws Error if results are to be added to those of another disk. */
  static open({ out, append, limits, guestSeconds }: BenchOptions, { trace }: BenchImage): Report {
    const recorded = { accelerator: trace.accelerator, guestSeconds: trace.guestSeconds, reads: trace.reads.length };
    const file: ReportFile = { ...runFacts(), disk: limits, guestSeconds, recorded, images: [], summary: [], runs: [] };
    if (out === undefined || !append || !existsSync(out)) return new Report(out, file);
    const before = JSON.parse(readFileSync(out, "utf8")) as ReportFile;
    const settings = ({ disk, guestSeconds, recorded }: ReportFile) => JSON.stringify([disk, guestSeconds, recorded]);
    if (settings(before) !== settings(file))
      throw new Error(`${out} has results of other settings: write to another file`);
    return new Report(out, { ...file, images: before.images, runs: before.runs });
  }

  setImages(images: ImageFigures[]): void {
    this.#file.images = images;
    console.table(images.map(({ packages, ...figures }) => ({ ...figures, packages: packages.join(" ") })));
    this.#write();
  }

  /** After each run: one that fails must not take the others' results with it. */
  add(result: PolicyResult): void {
    this.#file.runs.push(result);
    const [summary] = summariesOf([result]) as [Summary];
    const { policy, images, vms, noise, allSeconds, diskMegabytes } = summary;
    console.log(`${vms} VMs, ${images}, noise ${noise}, ${policy}: ${allSeconds} s, ${diskMegabytes} MB from the disk`);
    this.#write();
  }

  print(): void {
    console.table(this.#file.summary.map((each) => ({ ...each, allSecondsRange: each.allSecondsRange.join("-") })));
  }

  #write(): void {
    this.#file.summary = summariesOf(this.#file.runs);
    if (this.#path === undefined) return;
    const { images, runs, summary, ...rest } = this.#file;
    const lines = (list: object[]) => list.map((each) => `    ${JSON.stringify(each)}`).join(",\n");
    const head = JSON.stringify(rest, undefined, 2).replace(/\n\}$/, "");
    const parts = Object.entries({ images, summary, runs }).map(
      ([name, list]) => `  "${name}": [\n${lines(list)}\n  ]`,
    );
    writeFileSync(this.#path, `${head},\n${parts.join(",\n")}\n}\n`);
    writeFileSync(this.#path.replace(/\.json$/, ".svg"), policiesPlot(this.#file));
  }
}

if (import.meta.main) {
  for (const path of process.argv.slice(2)) {
    const file = JSON.parse(readFileSync(path, "utf8")) as ReportFile;
    writeFileSync(path.replace(/\.json$/, ".svg"), policiesPlot({ ...file, summary: summariesOf(file.runs) }));
  }
}
