/** npm run bench:scheduling: how long VMs wait for their images, by the way of images and the choice of hosts. See options.ts. */
import { mkdirSync } from "node:fs";
import { setPriority } from "node:os";
import { dirname } from "node:path";
import { exitOnSignals } from "../interruption.ts";
import type { BenchImage } from "../swarm/contender.ts";
import { makeImage } from "../swarm/images.ts";
import { Lab } from "../swarm/lab.ts";
import { makeLabDirectory } from "../swarm/lab-directory.ts";
import { type Cloud, emptyCaches, startCloud } from "./cloud.ts";
import { type BenchOptions, optionsFrom, usage } from "./options.ts";
import { printSummaries } from "./print.ts";
import { reportOf, writeReport } from "./report.ts";
import { groupsOf, type RunResult, summaryOf } from "./results.ts";
import { run } from "./run.ts";
import type { Scenario } from "./scenarios.ts";
import { traceOf } from "./trace.ts";

/** Enough for an agent to have had a few dozen pieces, little enough to be over soon on all nodes at once. */
const warmUpBytes = 4e6;
/**
 * How often an agent reports when nothing changes, and how far its fetches are. Its own default is 10 s; more often than
 * this, dozens of agents on a few cores would do little else. A fetch that begins or ends is told of at once in any case.
 */
const reportIntervalMs = { usual: 10_000, least: 1_000 };

// The labs and the files go at the process's end, whichever way that comes.
exitOnSignals();
try {
  const options = optionsFrom(process.argv.slice(2));
  if (options.help) process.stdout.write(usage);
  else await bench(options);
} catch (error) {
  console.error(process.env.DEBUG ? error : `bench:scheduling: ${(error as Error).message}`);
  process.exit(1);
}

/** What all runs share. */
interface Bench {
  options: BenchOptions;
  labs: Lab[];
  images: BenchImage[];
  warmUp: BenchImage;
  directory: string;
  /** Clouds that stand ready for the next trace, by scenario: where each has a lab of its own. */
  standing: Map<string, Cloud>;
}

async function bench(options: BenchOptions): Promise<void> {
  // Every process of the bench inherits it.
  setPriority(options.nice);
  // Half an hour later is too late to hear that there is no such directory.
  if (options.out !== undefined) mkdirSync(dirname(options.out), { recursive: true });
  Lab.takeDownLeftBehind();
  // Listeners run in the order in which they were added: the labs' processes end before their files go.
  const count = Math.min(options.sideBySide, options.scenarios.length);
  const labs = Array.from({ length: count }, (_, index) => labNamed(options, index));
  const directory = makeLabDirectory(options.directory);
  const images: BenchImage[] = [];
  for (let number = 1; number <= options.images; number++) {
    images.push(await makeImage(directory, `image-${number}`, options.imageBytes));
  }
  const warmUp = await makeImage(directory, "warm-up", warmUpBytes);
  const standing = new Map<string, Cloud>();
  const results: RunResult[] = [];
  for (let seed = options.firstSeed; seed < options.firstSeed + options.seeds; seed++) {
    for (const vmsPerHour of options.rates) {
      await runAll({ options, labs, images, warmUp, directory, standing }, vmsPerHour, seed, (some) => {
        results.push(...some);
        // Each time: what fails later must not take what was measured with it.
        if (options.out !== undefined) writeReport(options.out, reportOf(options, results));
      });
    }
  }
  printSummaries(inOrder(options, results).map(summaryOf));
  process.exit(0);
}

function labNamed({ nodes, linkBitsPerSecond }: BenchOptions, index: number): Lab {
  const oneZone = { zones: 1 as const, zoneLinkBitsPerSecond: linkBitsPerSecond };
  return Lab.make({ nodes, linkBitsPerSecond, ...oneZone, sysctls: [] }, letters(index));
}

/** a to z, aa, ab ... */
function letters(index: number): string {
  const last = String.fromCharCode("a".charCodeAt(0) + (index % 26));
  return index < 26 ? last : letters(Math.floor(index / 26) - 1) + last;
}

/** One trace in all scenarios, as many side by side as there are labs. */
async function runAll(bench: Bench, vmsPerHour: number, seed: number, onResults: (some: RunResult[]) => void) {
  const { options, labs } = bench;
  for (let at = 0; at < options.scenarios.length; at += labs.length) {
    const some = await runSome(bench, options.scenarios.slice(at, at + labs.length), vmsPerHour, seed);
    printSummaries(some.map((result) => summaryOf([result])));
    onResults(some);
  }
}

async function runSome(bench: Bench, scenarios: Scenario[], vmsPerHour: number, seed: number): Promise<RunResult[]> {
  const { options, labs } = bench;
  await using passing = new AsyncDisposableStack();
  const clouds: Cloud[] = [];
  // One after the other: two dozen processes that start are work enough for a few cores.
  for (const [index, scenario] of scenarios.entries()) {
    clouds.push(await cloudFor(bench, scenario, labs[index]!, passing));
  }
  const trace = traceOf({ ...options, vmsPerHour }, seed);
  const { timeScale, vmsPerHostMax } = options;
  const played = { trace, timeScale, vmsPerHour, seed, vmsPerHostMax, patienceSeconds: patienceSecondsOf(options) };
  return await Promise.all(clouds.map((cloud) => run({ cloud, ...played })));
}

/** A cloud with empty caches. One that has a lab for itself is used again, unless its seeder remembers what was popular. */
async function cloudFor(bench: Bench, scenario: Scenario, lab: Lab, passing: AsyncDisposableStack): Promise<Cloud> {
  const { options, labs, standing } = bench;
  const used = standing.get(scenario.key);
  if (used) {
    await emptyCaches(used);
    return used;
  }
  const cloud = await startCloud(cloudOptions(bench, lab, scenario));
  if (labs.length < options.scenarios.length || scenario.prefetches) passing.use(cloud);
  else standing.set(scenario.key, cloud);
  return cloud;
}

function cloudOptions({ options, directory, images, warmUp }: Bench, lab: Lab, scenario: Scenario) {
  const { cacheImages, imageBytes, timeScale } = options;
  const { logDirectory, seederSettings } = options;
  const limited = [`cache.quotaBytes=${cacheImages * imageBytes}`, "cache.whenFull=wait"];
  const intervalMs = Math.max(Math.round(reportIntervalMs.usual / timeScale), reportIntervalMs.least);
  const agentSettings = [
    `report.intervalMs=${intervalMs}`,
    ...(cacheImages > 0 ? limited : []),
    ...options.agentSettings,
  ];
  return { lab, scenario, images, warmUp, agentSettings, seederSettings, directory, logDirectory };
}

/** Plain HTTP of every image to every node, three times over. */
function patienceSecondsOf({ images, imageBytes, nodes, linkBitsPerSecond }: BenchOptions): number {
  return 60 + (3 * nodes * images * imageBytes * 8) / linkBitsPerSecond;
}

/** By rate, then as the scenarios are listed. */
function inOrder({ scenarios }: BenchOptions, results: RunResult[]): RunResult[][] {
  const place = (result: RunResult) => scenarios.findIndex(({ name }) => name === result.scenario);
  return groupsOf(results.toSorted((one, other) => one.vmsPerHour - other.vmsPerHour || place(one) - place(other)));
}
