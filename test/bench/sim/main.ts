/**
 * npm run bench:sim: what a flash crowd costs as it grows, in simulated time; in pieces as an image of that size has them
 * unless told otherwise. Each size runs in a process of its own; the file and the plot are written anew after each, as
 * sim-<date>.json and .svg. With --sweep-pieces: what it costs by the length of its pieces instead, as
 * sim-pieces-<date>.json and .svg.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { pieceLengthFor } from "../../../swarm/metainfo.ts";
import { commandLine } from "../command-line.ts";
import { runFacts } from "../machine.ts";
import { measureCrowd } from "./measure-crowd.ts";
import { type PiecesReport, sweepPieces } from "./pieces.ts";
import { piecesPlot } from "./pieces-plot.ts";
import { type SimReport, simPlot } from "./plot.ts";

const values = commandLine("bench:sim", "what a flash crowd costs as it grows, in simulated time", {
  nodes: { value: "LIST", default: "10,24,100,300,1000,3000,10000", means: "crowds; the largest take hours" },
  seed: { value: "N", default: "1", means: "of all that is random; a list with --sweep-pieces" },
  "image-mib": { value: "N", default: "16", means: "size of the image, in MiB; a list with --sweep-pieces" },
  "piece-kib": { value: "N", means: "length of a piece, in KiB (as an image of that size has it)" },
  "link-mbit": { default: 40, means: "rate of each link, each way" },
  "latency-ms": { default: 0.5, means: "from node to node, one way" },
  out: { value: "DIR", default: join(import.meta.dirname, "../results"), means: "where the report and its plot go" },
  append: { value: "FILE.json", means: "add sizes to a report of the same crowd" },
  plot: { value: "FILE.json", means: "only draw the plot of a report" },
  "sweep-pieces": { value: "LIST", means: "lengths of pieces to compare, in KiB, as in 16,32,64,128" },
});
const linkMbit = values["link-mbit"];
const latencyMs = values["latency-ms"];

if (values.plot) plotAnew(values.plot);
else if (values["sweep-pieces"]) sweep(values["sweep-pieces"]);
else measureAll();

function plotAnew(path: string): void {
  const report = readReport(path);
  writeFileSync(path.replace(/\.json$/, ".svg"), "chosenKib" in report ? piecesPlot(report) : simPlot(report));
}

function sweep(piecesKib: string): void {
  const crowd = {
    seeds: numbers(values.seed),
    nodes: numbers(values.nodes),
    imagesMib: numbers(values["image-mib"]),
    piecesKib: numbers(piecesKib),
    ...{ linkMbit, latencyMs },
  };
  sweepPieces(crowd, join(values.out, `sim-pieces-${runFacts().date.slice(0, 10)}`));
}

function measureAll(): void {
  const facts = runFacts();
  const base = values.append?.replace(/\.json$/, "") ?? join(values.out, `sim-${facts.date.slice(0, 10)}`);
  const imageBytes = Number(values["image-mib"]) * 1024 * 1024;
  const crowd = {
    seed: Number(values.seed),
    imageMib: Number(values["image-mib"]),
    pieceKib: Number(values["piece-kib"] ?? pieceLengthFor(imageBytes) / 1024),
    ...{ linkMbit, latencyMs },
  };
  const report = values.append ? readReport(values.append) : { ...facts, crowd, runs: [] };
  if ("chosenKib" in report || !isDeepStrictEqual(report.crowd, crowd)) {
    throw new Error(`${base}.json is of another crowd`);
  }
  for (const nodes of numbers(values.nodes)) {
    const run = measureCrowd({ ...crowd, nodes });
    report.runs = [...report.runs.filter((each) => each.nodes !== nodes), run].sort((a, b) => a.nodes - b.nodes);
    console.log(
      `${nodes} nodes: slowest ${run.slowestOverLimit.toFixed(3)}, seed copies ${run.seedCopies.toFixed(2)}, ` +
        `connections ${run.connectionsMean.toFixed(1)}, ${run.cpuSeconds.toFixed(0)} CPU s, ${run.peakRssMib.toFixed(0)} MiB`,
    );
    writeFileSync(`${base}.json`, `${JSON.stringify(report, undefined, 2)}\n`);
    writeFileSync(`${base}.svg`, simPlot(report));
  }
}

function readReport(path: string): SimReport | PiecesReport {
  return JSON.parse(readFileSync(path, "utf8")) as SimReport | PiecesReport;
}

function numbers(list: string): number[] {
  return list.split(",").map(Number);
}
