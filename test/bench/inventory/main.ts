/**
 * npm run bench:inventory [-- --nodes 10000 --seconds 20 --store sqlite,postgres --profile DIR --out FILE]: one seeder under
 * the reports of all its nodes, each with a connection of its own, and its recovery from SIGKILL, with its database kept
 * and with it deleted. With --profile the seeder's CPU profiles are written to DIR.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { startPostgres } from "../../fixtures/postgres.ts";
import { freePort } from "../../fixtures/torrents.ts";
import { type BenchChild, launcherFromSources, startDaemon } from "../child.ts";
import { runFacts } from "../machine.ts";
import { usageOf } from "../process-usage.ts";
import { rounded } from "../statistics.ts";
import { Crowd } from "./crowd.ts";
import { type NodeShape, usualShape } from "./nodes.ts";
import { inventoryPlot } from "./plot.ts";
import { Probe } from "./probe.ts";
import type { InventoryReport, Moment, Recovery, Run, Steady } from "./results.ts";

const { values } = parseArgs({
  options: {
    nodes: { type: "string", default: "10000" },
    "interval-ms": { type: "string", default: String(usualShape.intervalMs) },
    seconds: { type: "string", default: "20" },
    store: { type: "string", default: "sqlite,postgres" },
    generators: { type: "string", default: "2" },
    recoveries: { type: "string", default: "kept,deleted" },
    profile: { type: "string" },
    out: { type: "string" },
  },
});
const nodes = Number(values.nodes);
const shape: NodeShape = { ...usualShape, intervalMs: Number(values["interval-ms"]) };
const seconds = Number(values.seconds);
/** A seeder is away for this long before it is started again. */
const awayMs = 2_000;
const lookEveryMs = 200;
const patienceMs = 180_000;

interface Place {
  settings: Record<string, string>;
  /** Empties the database, while the seeder is stopped. */
  deleteDatabase(): Promise<void>;
}

interface Bench {
  place: Place;
  crowd: Crowd;
  seeder: BenchChild;
  url: string;
  port: number;
}

const folder = mkdtempSync(join(tmpdir(), "bootswarm-bench-"));
try {
  const runs: Run[] = [];
  for (const store of values.store.split(",")) runs.push(await measure(store));
  const report: InventoryReport = { ...runFacts(), nodes, shape, runs };
  if (values.out) {
    writeFileSync(values.out, `${JSON.stringify(report, undefined, 2)}\n`);
    writeFileSync(values.out.replace(/\.json$/, ".svg"), inventoryPlot(report));
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

async function measure(store: string): Promise<Run> {
  const postgres = store === "postgres" ? await startPostgres() : undefined;
  try {
    const place = await placeOf(store, postgres);
    await using crowd = new Crowd(Number(values.generators));
    const port = await freePort();
    const { process: seeder, url } = await startSeeder(place, port);
    const bench: Bench = { place, crowd, seeder, url, port };
    try {
      crowd.start(url, nodes, shape);
      await until(() => crowd.counts.settled >= nodes, "all nodes are known");
      const steady = await steadyState(bench);
      console.log(`${store}, ${nodes} nodes, steady:`);
      console.table(steady);
      const recoveries: Recovery[] = [];
      for (const database of values.recoveries.split(",").filter((name) => name !== "")) {
        const recovery = await recover(bench, database === "deleted");
        const { timeline: _, ...figures } = recovery;
        console.log(`${store}, SIGKILL, database ${database}:`);
        console.table(figures);
        recoveries.push(recovery);
      }
      if (values.profile) await bench.seeder.end("SIGTERM");
      return { store, steady, recoveries };
    } finally {
      await bench.seeder.end();
    }
  } finally {
    await postgres?.remove();
  }
}

async function placeOf(store: string, postgres: Awaited<ReturnType<typeof startPostgres>> | undefined): Promise<Place> {
  const dataDirectory = join(folder, store);
  if (!postgres) {
    const files = ["", "-wal", "-shm"].map((ending) => join(dataDirectory, `seeder.sqlite${ending}`));
    return {
      settings: { dataDirectory },
      deleteDatabase: async () => {
        for (const file of files) rmSync(file, { force: true });
      },
    };
  }
  const url = await postgres.createDatabase();
  const deleteDatabase = async () => {
    await postgres.query(url, "drop schema public cascade");
    await postgres.query(url, "create schema public");
  };
  return { settings: { dataDirectory, store: url }, deleteDatabase };
}

function startSeeder(place: Place, port: number) {
  const profiling = values.profile ? ["--cpu-prof", `--cpu-prof-dir=${values.profile}`] : [];
  const [node, ...rest] = launcherFromSources as [string, ...string[]];
  return startDaemon("seeder", { ...place.settings, listen: `127.0.0.1:${port}` }, [node, ...profiling, ...rest]);
}

/** Reports at their usual pace, and a probe meanwhile. */
async function steadyState({ crowd, seeder, url }: Bench): Promise<Steady> {
  const probe = new Probe(url, nodes, shape);
  crowd.reset();
  const before = { usage: usageOf(seeder.pid), atMs: performance.now() };
  const figures = await probe.run(seconds * 1_000);
  const elapsed = (performance.now() - before.atMs) / 1_000;
  const after = usageOf(seeder.pid);
  const { answered, failed, full } = crowd.counts;
  const cpuSeconds = after.cpuSeconds - before.usage.cpuSeconds;
  const latencies = [...crowd.latencies];
  probe.end();
  return {
    reportsPerSecond: rounded(answered / elapsed, 0),
    failed,
    full,
    cpuPercent: rounded((100 * cpuSeconds) / elapsed, 0),
    cpuMicrosecondsPerReport: rounded((1e6 * cpuSeconds) / answered, 0),
    residentMib: rounded(after.residentMib, 0),
    reportMsP50: percentile(figures.reportMs, 0.5),
    reportMsP99: percentile(figures.reportMs, 0.99),
    crowdReportMsP50: percentile(latencies, 0.5),
    crowdReportMsP99: percentile(latencies, 0.99),
    weighHostsMsP50: percentile(figures.weighHostsMs, 0.5),
    weighHostsMsP99: percentile(figures.weighHostsMs, 0.99),
  };
}

/** The seeder is killed and comes back; all nodes report again. */
async function recover(bench: Bench, deleted: boolean): Promise<Recovery> {
  const { crowd, place, port } = bench;
  // Under a profile it must end by itself for the profile to be written.
  await bench.seeder.end(values.profile ? "SIGTERM" : "SIGKILL");
  if (deleted) await place.deleteDatabase();
  crowd.reset();
  await delay(awayMs);
  const startMs = Date.now();
  const { process: seeder, url } = await startSeeder(place, port);
  bench.seeder = seeder;
  const listeningMs = Date.now() - startMs;
  const timeline: Moment[] = [];
  const latenciesFrom = crowd.latencies.length;
  await until(() => {
    const { settled, answered } = crowd.counts;
    const { residentMib, cpuSeconds } = usageOf(seeder.pid);
    timeline.push({
      seconds: rounded((Date.now() - startMs) / 1_000),
      settled,
      answered,
      residentMib: rounded(residentMib, 0),
      cpuSeconds: rounded(cpuSeconds),
    });
    return settled >= nodes;
  }, "all nodes are known again");
  const { settledAtMs, answered, full, failed } = crowd.counts;
  const usage = usageOf(seeder.pid);
  const probe = new Probe(url, nodes, shape);
  const known = await probe.known();
  probe.end();
  if (known.holdings < nodes * shape.holdings)
    throw new Error(`of ${nodes} nodes ${known.holdings} holdings are known`);
  const latencies = crowd.latencies.slice(latenciesFrom);
  return {
    database: deleted ? "deleted" : "kept",
    listeningSeconds: rounded(listeningMs / 1_000),
    completeSeconds: rounded((settledAtMs - startMs) / 1_000),
    completeIntervals: rounded((settledAtMs - startMs - listeningMs) / shape.intervalMs),
    answered,
    full,
    failed,
    reportMsP50: percentile(latencies, 0.5),
    reportMsP99: percentile(latencies, 0.99),
    peakMib: rounded(usage.peakMib, 0),
    cpuSeconds: rounded(usage.cpuSeconds),
    timeline,
  };
}

async function until(isSo: () => boolean, what: string): Promise<void> {
  const endMs = performance.now() + patienceMs;
  while (!isSo()) {
    if (performance.now() > endMs) throw new Error(`${what}: not within ${patienceMs} ms`);
    await delay(lookEveryMs);
  }
}

function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return rounded(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN, 1);
}
