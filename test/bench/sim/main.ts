/**
 * npm run bench:sim [-- --nodes 10,30,100 --image-mib 16 --piece-kib 32 --link-mbit 40 --out test/bench/results]: what a
 * flash crowd costs as it grows, in simulated time; in pieces as an image of that size has them unless told otherwise. Each
 * size runs in a process of its own; the file and the plot are written anew after each, as sim-<date>.json and .svg.
 * `--append FILE.json` adds sizes to a report of the same crowd instead: the largest take hours. `--plot FILE.json` only
 * draws the plot of a report.
 */
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual, parseArgs } from "node:util";
import { pieceLengthFor } from "../../../swarm/metainfo.ts";
import { runFacts } from "../machine.ts";
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
  },
});

if (values.plot) {
  writeFileSync(values.plot.replace(/\.json$/, ".svg"), simPlot(readReport(values.plot)));
} else {
  measureAll();
}

function measureAll(): void {
  const facts = runFacts();
  const base = values.append?.replace(/\.json$/, "") ?? join(values.out, `sim-${facts.date.slice(0, 10)}`);
  const imageBytes = Number(values["image-mib"]) * 1024 * 1024;
  const crowd = {
    seed: Number(values.seed),
    imageMib: Number(values["image-mib"]),
    pieceKib: Number(values["piece-kib"] ?? pieceLengthFor(imageBytes) / 1024),
    linkMbit: Number(values["link-mbit"]),
    latencyMs: Number(values["latency-ms"]),
  };
  const report = values.append ? readReport(values.append) : { ...facts, crowd, runs: [] };
  if (!isDeepStrictEqual(report.crowd, crowd)) throw new Error(`${base}.json is of another crowd`);
  for (const nodes of values.nodes.split(",").map(Number)) {
    const run = measure({ ...crowd, nodes });
    report.runs = [...report.runs.filter((each) => each.nodes !== nodes), run].sort((a, b) => a.nodes - b.nodes);
    console.log(
      `${nodes} nodes: slowest ${run.slowestOverLimit.toFixed(3)}, seed copies ${run.seedCopies.toFixed(2)}, ` +
        `connections ${run.connectionsMean.toFixed(1)}, ${run.cpuSeconds.toFixed(0)} CPU s, ${run.peakRssMib.toFixed(0)} MiB`,
    );
    writeFileSync(`${base}.json`, `${JSON.stringify(report, undefined, 2)}\n`);
    writeFileSync(`${base}.svg`, simPlot(report));
  }
}

function readReport(path: string): SimReport {
  return JSON.parse(readFileSync(path, "utf8")) as SimReport;
}

function measure(options: SimReport["crowd"] & { nodes: number }): SimReport["runs"][number] {
  const script = join(import.meta.dirname, "measure.ts");
  // Ten thousand nodes take some gigabytes.
  const flags = ["--max-old-space-size=12000", "--max-semi-space-size=64"];
  const { status, stdout } = spawnSync(process.execPath, [...flags, script, JSON.stringify(options)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (status !== 0) throw new Error(`the run with ${options.nodes} nodes failed`);
  return JSON.parse(stdout.toString()) as SimReport["runs"][number];
}
