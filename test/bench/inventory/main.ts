/** npm run bench:inventory: one seeder under the reports of all its nodes, and its recovery from SIGKILL. See options.ts. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { runFacts } from "../machine.ts";
import { usageOf } from "../process-usage.ts";
import { rounded } from "../statistics.ts";
import { Crowd } from "./crowd.ts";
import { type BenchOptions, optionsFrom, usage } from "./options.ts";
import { percentile } from "./percentile.ts";
import { inventoryPlot } from "./plot.ts";
import { Probe } from "./probe.ts";
import type { InventoryReport, Recovery, Run, Steady } from "./results.ts";
import { MeasuredSeeder } from "./seeder.ts";
import { Watch } from "./watch.ts";

/** A seeder is away for this long before it is started again. */
const awayMs = 2_000;
const lookEveryMs = 200;
/** For all nodes to come up at first. */
const firstPatienceMs = 180_000;
/** After a recovery: the pace is to be seen coming back. */
const afterwardsMs = 10_000;

interface Bench {
  options: BenchOptions;
  crowd: Crowd;
  seeder: MeasuredSeeder;
  watch: Watch;
}

try {
  const options = optionsFrom(process.argv.slice(2));
  if (options.help) process.stdout.write(usage);
  else await bench(options);
} catch (error) {
  console.error(process.env.DEBUG ? error : `bench:inventory: ${(error as Error).message}`);
  process.exitCode = 1;
}

async function bench(options: BenchOptions): Promise<void> {
  const { nodes, shape, out } = options;
  // Minutes later is too late to hear that there is no such directory.
  if (out !== undefined) mkdirSync(dirname(out), { recursive: true });
  const folder = mkdtempSync(join(tmpdir(), "bootswarm-bench-"));
  try {
    const runs: Run[] = [];
    for (const store of options.stores) {
      runs.push(await measure(store, folder, options));
      if (out === undefined) continue;
      const report: InventoryReport = { ...runFacts(), nodes, shape, runs };
      writeFileSync(out, `${JSON.stringify(report, undefined, 2)}\n`);
      writeFileSync(out.replace(/\.json$/, ".svg"), inventoryPlot(report));
      console.log(`written: ${out} and its plot`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measure(store: string, folder: string, options: BenchOptions): Promise<Run> {
  const { nodes, shape, profile } = options;
  await using seeder = await MeasuredSeeder.make(store, folder, profile);
  await using crowd = new Crowd(options.generators);
  await seeder.start();
  console.log(`${store}: ${nodes} nodes come up`);
  crowd.start(seeder.url, nodes, shape);
  const isUp = await until(() => crowd.counts.settled >= nodes, firstPatienceMs);
  if (!isUp) throw new Error(`of ${nodes} nodes ${crowd.counts.settled} are known after ${firstPatienceMs / 1_000} s`);
  // What was written of all of them is no part of the usual pace.
  await delay(shape.intervalMs);
  using watch = new Watch(crowd, seeder);
  const bench: Bench = { options, crowd, seeder, watch };
  const steady = await steadyState(bench);
  console.log(`${store}, ${nodes} nodes, steady:`);
  console.table(steady);
  const recoveries: Recovery[] = [];
  try {
    for (const database of options.recoveries) {
      const recovery = await recover(bench, database);
      console.log(`${store}, SIGKILL, database ${database}:`);
      console.table(recovery);
      recoveries.push(recovery);
      await delay(afterwardsMs);
    }
  } catch (error) {
    // What was measured until then is kept.
    console.error(`${store}: ${(error as Error).message}`);
    process.exitCode = 1;
  }
  return { store, steady, recoveries, timeline: watch.timeline };
}

/** Reports at their usual pace, and a probe meanwhile. */
async function steadyState({ options, crowd, seeder, watch }: Bench): Promise<Steady> {
  const pid = seeder.pid as number;
  const probe = new Probe(seeder.url, options.nodes, options.shape);
  crowd.countAnew({ nobodyKnown: false });
  const before = { usage: usageOf(pid), atMs: performance.now() };
  const figures = await probe.run(options.seconds * 1_000);
  const elapsed = (performance.now() - before.atMs) / 1_000;
  const after = usageOf(pid);
  const { answered, failed, full } = crowd.counts;
  const cpuSeconds = after.cpuSeconds - before.usage.cpuSeconds;
  const latencies = [...crowd.latencies];
  const standstills = watch.timeline.flatMap(({ standstillMs }) => standstillMs ?? []);
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
    reportMsMax: percentile(figures.reportMs, 1),
    crowdReportMsP50: percentile(latencies, 0.5),
    crowdReportMsP99: percentile(latencies, 0.99),
    weighHostsMsP50: percentile(figures.weighHostsMs, 0.5),
    weighHostsMsP99: percentile(figures.weighHostsMs, 0.99),
    standstillMsP50: percentile(standstills, 0.5),
    standstillMsMax: percentile(standstills, 1),
  };
}

/** The seeder is killed and comes back; all nodes report again. */
async function recover({ options, crowd, seeder, watch }: Bench, database: Recovery["database"]): Promise<Recovery> {
  const { nodes, shape, recoverySecondsMax } = options;
  const killedAtSeconds = watch.seconds;
  await seeder.kill();
  watch.phase = database;
  if (database === "deleted") await seeder.deleteDatabase();
  crowd.countAnew({ nobodyKnown: true });
  await delay(awayMs);
  const startMs = Date.now();
  const startedAtSeconds = watch.seconds;
  await seeder.start();
  const listeningMs = Date.now() - startMs;
  const latenciesFrom = crowd.latencies.length;
  const complete = await until(() => crowd.counts.settled >= nodes, recoverySecondsMax * 1_000);
  const { settled, settledAtMs, answered, full, failed } = crowd.counts;
  const latencies = crowd.latencies.slice(latenciesFrom);
  const usage = usageOf(seeder.pid as number);
  if (complete) await checkKnown(seeder.url, options);
  return {
    database,
    killedAtSeconds,
    startedAtSeconds,
    listeningSeconds: rounded(listeningMs / 1_000),
    completeSeconds: complete ? rounded((settledAtMs - startMs) / 1_000) : null,
    completeIntervals: complete ? rounded((settledAtMs - startMs - listeningMs) / shape.intervalMs) : null,
    known: settled,
    answered,
    full,
    failed,
    reportMsP50: percentile(latencies, 0.5),
    reportMsP99: percentile(latencies, 0.99),
    peakMib: rounded(usage.peakMib, 0),
    cpuSeconds: rounded(usage.cpuSeconds),
  };
}

/** Nodes believe that all is known of them; the seeder is asked, too. */
async function checkKnown(url: string, { nodes, shape }: BenchOptions): Promise<void> {
  const probe = new Probe(url, nodes, shape);
  const { holdings } = await probe.known();
  probe.end();
  if (holdings < nodes * shape.holdings) throw new Error(`of ${nodes} nodes ${holdings} holdings are known`);
}

/** Whether it became so in that time. */
async function until(isSo: () => boolean, patienceMs: number): Promise<boolean> {
  const endMs = performance.now() + patienceMs;
  while (!isSo()) {
    if (performance.now() > endMs) return false;
    await delay(lookEveryMs);
  }
  return true;
}
