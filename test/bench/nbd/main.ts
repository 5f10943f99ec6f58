/**
 * npm run bench:nbd [-- --state warm --rounds 4 --mib 1024 --only NAME --out test/bench/results]: our NBD server beside qemu-nbd
 * and nbdkit's file plugin on the same file: random reads by fio, copies by nbdcopy. The servers run all the time and take
 * turns within each round. Writes nbd-STATE-<date>.json and .svg. `--plot FILE.json` only draws the plot of a report.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { makeRandomFile } from "../../fixtures/disks.ts";
import { requireTool } from "../../fixtures/tools.ts";
import { runFacts } from "../machine.ts";
import { usageOf } from "../process-usage.ts";
import { median, rounded, spread } from "../statistics.ts";
import { type Load, loads, setCache } from "./loads.ts";
import { nbdPlot } from "./plot.ts";
import type { NbdReport, NbdRow } from "./report.ts";
import { type BenchServer, type Contender, contenders, startServers } from "./servers.ts";

const { values } = parseArgs({
  options: {
    state: { type: "string", default: "warm" },
    rounds: { type: "string", default: "4" },
    mib: { type: "string", default: "1024" },
    only: { type: "string", default: "" },
    out: { type: "string", default: join(import.meta.dirname, "../results") },
    plot: { type: "string" },
  },
});

if (values.plot) {
  const report = JSON.parse(readFileSync(values.plot, "utf8")) as NbdReport;
  writeFileSync(values.plot.replace(/\.json$/, ".svg"), nbdPlot(report));
} else {
  const report = await measure(values.state === "cold" ? "cold" : "warm", Number(values.rounds), Number(values.mib));
  print(report);
  const base = join(values.out, `nbd-${report.cache}-${report.date.slice(0, 10)}`);
  writeFileSync(`${base}.json`, `${JSON.stringify(report, undefined, 2)}\n`);
  writeFileSync(`${base}.svg`, nbdPlot(report));
}

async function measure(cache: "warm" | "cold", rounds: number, mib: number): Promise<NbdReport> {
  for (const tool of ["fio", "nbdcopy", "nbdkit", "qemu-nbd"] as const) requireTool(tool);
  const folder = mkdtempSync(join(tmpdir(), "bootswarm-bench-nbd-"));
  await using running = new AsyncDisposableStack();
  running.defer(() => rmSync(folder, { recursive: true, force: true }));
  const file = await makeRandomFile(folder, "image.raw", mib);
  const servers = await startServers(file, folder, running);
  const rows: NbdRow[] = loads
    .filter(({ name }) => name.includes(values.only))
    .map(({ name, unit }) => ({ name, unit, figures: noFigures(), p99Us: noFigures() }));
  for (let round = 0; round < rounds; round += 1) {
    for (const row of rows) {
      const load = loads.find(({ name }) => name === row.name) as Load;
      // Each is first in its turn: whoever runs after whom should not matter.
      for (let turn = 0; turn < servers.length; turn += 1) {
        const server = servers[(turn + round) % servers.length] as BenchServer;
        await setCache(file, cache);
        const { figure, p99Us } = await load.run(server.uri, mib * 1024 * 1024);
        row.figures[server.contender].push(rounded(figure, 1));
        if (p99Us !== undefined) row.p99Us[server.contender].push(rounded(p99Us, 1));
      }
    }
  }
  const peaks = servers.map(({ contender, process }) => [contender, rounded(usageOf(process.pid).peakMib, 1)]);
  return { ...runFacts(), cache, rounds, mib, rows, peakMib: Object.fromEntries(peaks) };
}

function noFigures(): Record<Contender, number[]> {
  return { bootswarm: [], "qemu-nbd": [], nbdkit: [] };
}

function print({ cache, rows, peakMib }: NbdReport): void {
  for (const { name, unit, figures, p99Us } of rows) {
    const ours = median(figures.bootswarm);
    const shown = contenders.map((contender) => {
      const p99 = p99Us[contender].length > 0 ? `, p99 ${median(p99Us[contender])} us` : "";
      return `${contender} ${median(figures[contender])} (${spread(figures[contender])}${p99})`;
    });
    const ratios = `x${rounded(ours / median(figures["qemu-nbd"]))} of qemu-nbd, x${rounded(ours / median(figures.nbdkit))} of nbdkit`;
    console.log(`${cache} ${name} [${unit}]: ${ratios}: ${shown.join("; ")}`);
  }
  console.log(`peak memory, MiB: ${contenders.map((contender) => `${contender} ${peakMib[contender]}`).join(", ")}`);
}
