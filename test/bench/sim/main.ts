/**
 * npm run bench:sim [-- --nodes 10,30,100 --image-mib 16 --piece-kib 32 --link-mbit 40 --out test/bench/results]: what a
 * flash crowd costs as it grows, in simulated time; in pieces as an image of that size has them unless told otherwise. Each
 * size runs in a process of its own; the file and the plot are written anew after each, as sim-<date>.json and .svg.
 * `--append FILE.json` adds sizes to a report of the same crowd instead: the largest take hours. `--plot FILE.json` only
 * draws the plot of a report.
 *
 * `--sweep-pieces 16,32,64,128,256,512,1024 --nodes 24,100 --image-mib 16,64 --seed 1,2,3`: what it costs by the length of
 * its pieces instead, as sim-pieces-<date>.json and .svg.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual, parseArgs } from "node:util";
import { pieceLengthFor } from "../../../swarm/metainfo.ts";
import { runFacts } from "../machine.ts";
import { measureCrowd } from "./measure-crowd.ts";
import { type PiecesReport, sweepPieces } from "./pieces.ts";
import { piecesPlot } from "./pieces-plot.ts";
import { type SimReport, simPlot } from "./plot.ts";

const { values } = parseArgs({
  options: {
    nodes: { type: "string", default: "10,24,100,300,1000,3000,10000" },
    seed: { type: "string", default: "1" },
    "image-mib": { type: "string", default: "16" },
    "piece-kib": { type: "string" },
    "link-mbit": { type: "string", default: "40" },
    "latency-ms": { type: "string", default: "0.5" },
    out: { type: "string", default: join(import.meta.dirname, "../results") },
    append: { type: "string" },
    plot: { type: "string" },
    "sweep-pieces": { type: "string" },
  },
});
const linkMbit = Number(values["link-mbit"]);
const latencyMs = Number(values["latency-ms"]);

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
