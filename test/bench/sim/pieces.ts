/** Sweeps the length of pieces: what a flash crowd takes in each, for images and crowds of several sizes. */
import { writeFileSync } from "node:fs";
import { pieceLengthFor } from "../../../swarm/metainfo.ts";
import { runFacts } from "../machine.ts";
import { type CrowdRun, measureCrowd } from "./measure-crowd.ts";
import { piecesPlot } from "./pieces-plot.ts";

export interface PiecesCrowd {
  seeds: readonly number[];
  nodes: readonly number[];
  imagesMib: readonly number[];
  piecesKib: readonly number[];
  linkMbit: number;
  latencyMs: number;
}

export interface PiecesReport {
  date: string;
  machine: string;
  node: string;
  crowd: PiecesCrowd;
  /** Length of the pieces that an image of each size has: the rule that the sweep is to judge. */
  chosenKib: Record<string, number>;
  runs: (CrowdRun & { seed: number; imageMib: number; pieceKib: number })[];
}

/** Runs all combinations; `<base>.json` and `<base>.svg` are written anew after each. */
export function sweepPieces(crowd: PiecesCrowd, base: string): void {
  const { seeds, linkMbit, latencyMs } = crowd;
  const chosenKib = Object.fromEntries(
    crowd.imagesMib.map((imageMib) => [imageMib, pieceLengthFor(imageMib * 1024 * 1024) / 1024]),
  );
  const report: PiecesReport = { ...runFacts(), crowd, chosenKib, runs: [] };
  for (const nodes of crowd.nodes) {
    for (const imageMib of crowd.imagesMib) {
      for (const pieceKib of crowd.piecesKib) {
        for (const seed of seeds) {
          const run = measureCrowd({ seed, nodes, imageMib, pieceKib, linkMbit, latencyMs });
          report.runs.push({ seed, imageMib, pieceKib, ...run });
          console.log(
            `${nodes} nodes, ${imageMib} MiB in ${pieceKib} KiB, seed ${seed}: slowest ${run.slowestOverLimit.toFixed(3)}, ` +
              `received ${run.receivedOverImage.toFixed(3)}, ${run.cpuSeconds.toFixed(0)} CPU s`,
          );
          writeFileSync(`${base}.json`, `${JSON.stringify(report, undefined, 2)}\n`);
          writeFileSync(`${base}.svg`, piecesPlot(report));
        }
      }
    }
  }
}
