/** npm run bench:nbd: our NBD server beside qemu-nbd, nbdkit's file plugin and the plain file. See `usage`. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { makeRandomFile } from "../../fixtures/disks.ts";
import { requireTool } from "../../fixtures/tools.ts";
import { runFacts } from "../machine.ts";
import { usageOf } from "../process-usage.ts";
import { median, rounded, spread } from "../statistics.ts";
import { startFetchingAgent } from "./fetching-agent.ts";
import { type Load, loads, setCache } from "./loads.ts";
import { nbdPlot } from "./plot.ts";
import { type Condition, conditions, type NbdReport, type NbdRow } from "./report.ts";
import { type BenchServer, type Contender, contenders, startServers } from "./servers.ts";

const usage = `npm run bench:nbd [-- OPTIONS]: our NBD server beside qemu-nbd, nbdkit's file plugin and the plain file

Random reads by fio, copies by nbdcopy, of one file. The servers run all the time and take turns within each round. All
conditions take some eight minutes. Writes nbd-CONDITION-DATE.json and a plot beside each.

  --conditions LIST  of warm, cold (the file in the page cache, or not), fetching (warm; our server is an agent that fetches
                     three images at full speed meanwhile, whichever server is measured) (all)
  --rounds N         (3)
  --mib N            the file's size (1024)
  --only TEXT        only loads whose name has it
  --out DIR          (test/bench/results)
  --plot FILE        only draw the plot of a report anew
`;

interface Options {
  rounds: number;
  mib: number;
  only: string;
}

const { values } = parseArgs({
  options: {
    conditions: { type: "string", default: conditions.join(",") },
    rounds: { type: "string", default: "3" },
    mib: { type: "string", default: "1024" },
    only: { type: "string", default: "" },
    out: { type: "string", default: join(import.meta.dirname, "../results") },
    plot: { type: "string" },
    help: { type: "boolean", short: "h" },
  },
});

if (values.help) process.stdout.write(usage);
else if (values.plot) {
  const report = JSON.parse(readFileSync(values.plot, "utf8")) as NbdReport;
  writeFileSync(values.plot.replace(/\.json$/, ".svg"), nbdPlot(report));
} else {
  const chosen = values.conditions.split(",").map(conditionFrom);
  const options = { rounds: countFrom("rounds", values.rounds), mib: countFrom("mib", values.mib), only: values.only };
  for (const condition of chosen) {
    const report = await measure(condition, options);
    print(report);
    const base = join(values.out, `nbd-${condition}-${report.date.slice(0, 10)}`);
    writeFileSync(`${base}.json`, `${JSON.stringify(report, undefined, 2)}\n`);
    writeFileSync(`${base}.svg`, nbdPlot(report));
  }
}

function conditionFrom(text: string): Condition {
  const found = conditions.find((each) => each === text);
  if (!found) throw new Error(`--conditions ${text}: there are ${conditions.join(", ")}`);
  return found;
}

function countFrom(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} ${text}: write a whole number above 0`);
  return value;
}

async function measure(condition: Condition, { rounds, mib, only }: Options): Promise<NbdReport> {
  for (const tool of ["fio", "nbdcopy", "nbdkit", "qemu-nbd"] as const) requireTool(tool);
  const folder = mkdtempSync(join(tmpdir(), "bootswarm-bench-nbd-"));
  await using running = new AsyncDisposableStack();
  running.defer(() => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));
  const file = await makeRandomFile(folder, "image.raw", mib);
  const agent =
    condition === "fetching"
      ? await startFetchingAgent({ file, fetchedMib: Math.ceil(mib / 4) }, folder, running)
      : undefined;
  const servers = await startServers(file, folder, agent ? [agent.server] : [], running);
  const rows: NbdRow[] = loads
    .filter(({ name }) => name.includes(only))
    .map(({ name, unit }) => ({ name, unit, figures: noFigures(), p99Us: noFigures() }));
  const startMs = performance.now();
  const fetchedBefore = agent?.fetchedBytes() ?? 0;
  for (let round = 0; round < rounds; round += 1) {
    for (const row of rows) {
      const load = loads.find(({ name }) => name === row.name) as Load;
      // Each is first in its turn: whoever runs after whom should not matter.
      for (let turn = 0; turn < servers.length; turn += 1) {
        const server = servers[(turn + round) % servers.length] as BenchServer;
        await setCache(file, condition === "cold" ? "cold" : "warm");
        const { figure, p99Us } = await load.run(server.target, mib * 1024 * 1024);
        row.figures[server.contender].push(rounded(figure, 1));
        if (p99Us !== undefined) row.p99Us[server.contender].push(rounded(p99Us, 1));
      }
    }
  }
  const fetchedBytes = (agent?.fetchedBytes() ?? 0) - fetchedBefore;
  const fetchedMbPerSecond = rounded(fetchedBytes / 1_000 / (performance.now() - startMs), 1);
  const peaks = servers.flatMap(({ contender, process }) =>
    process ? [[contender, rounded(usageOf(process.pid).peakMib, 1)]] : [],
  );
  return {
    ...{ ...runFacts(), condition, rounds, mib, rows, peakMib: Object.fromEntries(peaks) },
    ...(agent ? { fetchedMbPerSecond } : {}),
  };
}

function noFigures(): Record<Contender, number[]> {
  return { bootswarm: [], "qemu-nbd": [], nbdkit: [], file: [] };
}

function print({ condition, rows, peakMib, fetchedMbPerSecond }: NbdReport): void {
  for (const { name, unit, figures, p99Us } of rows) {
    const ours = median(figures.bootswarm);
    const shown = contenders.map((contender) => {
      const p99 = p99Us[contender].length > 0 ? `, p99 ${median(p99Us[contender])} us` : "";
      return `${contender} ${median(figures[contender])} (${spread(figures[contender])}${p99})`;
    });
    const over = (contender: Contender) => `x${rounded(ours / median(figures[contender]))}`;
    const ratios = `${over("qemu-nbd")} of qemu-nbd, ${over("nbdkit")} of nbdkit, ${over("file")} of the plain file`;
    console.log(`${condition} ${name} [${unit}]: ${ratios}: ${shown.join("; ")}`);
  }
  if (fetchedMbPerSecond !== undefined) console.log(`fetched meanwhile: ${fetchedMbPerSecond} MB/s`);
  const peaks = Object.entries(peakMib).map(([contender, mib]) => `${contender} ${mib}`);
  console.log(`peak memory, MiB: ${peaks.join(", ")}`);
}
