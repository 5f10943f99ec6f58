/** npm run bench:swarm: the time until every node has every image, contender against contender. See options.ts. */
import { mkdirSync, rmSync } from "node:fs";
import { setPriority } from "node:os";
import { join } from "node:path";
import { exitOnSignals } from "../interruption.ts";
import { startAgents } from "./agents.ts";
import type { AgentOptions, BenchImage, Contender } from "./contender.ts";
import { makeImage } from "./images.ts";
import { Lab } from "./lab.ts";
import { makeLabDirectory } from "./lab-directory.ts";
import { startLibtorrent } from "./libtorrent.ts";
import { singleStreamShare } from "./link-check.ts";
import { type BenchOptions, optionsFrom, type Scenario, usage } from "./options.ts";
import { printSummaries } from "./print.ts";
import { reportOf, runsBefore, writeReport } from "./report.ts";
import type { RunResult } from "./results.ts";
import { run } from "./run.ts";
import { groupsOf, summaryOf } from "./summary.ts";

const contenders: Record<string, Contender> = {
  bootswarm: (options) => startAgents(options, true),
  unzoned: (options) => startAgents({ ...options, agents: { ...options.agents, knowZones: false } }, true),
  http: (options) => startAgents(options, false),
  libtorrent: startLibtorrent,
};

// The lab and the files go at the process's end, whichever way that comes.
exitOnSignals();
try {
  const options = optionsFrom(process.argv.slice(2));
  if (options.help) process.stdout.write(usage);
  else await bench(options);
} catch (error) {
  console.error(process.env.DEBUG ? error : `bench:swarm: ${(error as Error).message}`);
  process.exit(1);
}

/** What all runs share. */
interface Bench {
  options: BenchOptions;
  lab: Lab;
  directory: string;
  agents: AgentOptions;
}

async function bench(options: BenchOptions): Promise<void> {
  for (const name of options.contenders) {
    if (!contenders[name]) throw new Error(`there is no contender ${name}; there are ${Object.keys(contenders)}`);
  }
  const results = runsBefore(options);
  // Every process of the bench inherits it.
  setPriority(options.nice);
  // Listeners run in the order in which they were added: the lab's processes end before their files go.
  Lab.takeDownLeftBehind();
  const lab = Lab.make(options);
  const directory = makeLabDirectory(options.directory);
  const share = await singleStreamShare(lab, options.linkBitsPerSecond);
  const congestionControl = lab.congestionControl();
  console.log(`one TCP stream (${congestionControl}) reaches ${share.toFixed(3)} of a link's nominal rate`);
  const agents = {
    settings: options.agentSettings,
    seederSettings: options.seederSettings,
    noDht: options.noDht,
    checkout: options.checkout,
    compileCache: undefined,
    knowZones: await agentsKnowZones(options.checkout),
    warmUp: options.warmUpBytes > 0 ? await makeImage(directory, "warm-up", options.warmUpBytes) : undefined,
  };
  if (options.zones > 1 && !agents.knowZones)
    console.log('these agents have no setting "zone"; they will not know theirs');
  for (const scenario of options.scenarios) {
    await runScenario({ options, lab, directory, agents }, scenario, (result) => {
      results.push(result);
      printSummaries([summaryOf([result])]);
      // After each run: one that fails must not take the others' results with it.
      if (options.out === undefined) return;
      writeReport(options.out, reportOf(options, { singleStreamShare: share, congestionControl }, results));
    });
  }
  if (results.length > 1) printSummaries(groupsOf(results).map(summaryOf));
  process.exit(0);
}

async function runScenario(bench: Bench, scenario: Scenario, onResult: (result: RunResult) => void): Promise<void> {
  const { options, directory } = bench;
  const images: BenchImage[] = [];
  for (let number = 1; number <= scenario.images; number++) {
    images.push(await makeImage(directory, `image-${number}`, scenario.imageBytes));
  }
  for (let round = 1; round <= options.rounds; round++) {
    for (const contenderName of options.contenders) {
      onResult(await runOne(bench, images, contenderName, round));
    }
  }
  for (const image of images) rmSync(image.path);
}

async function runOne({ options, ...bench }: Bench, images: BenchImage[], contenderName: string, round: number) {
  const imageBytes = images.reduce((sum, image) => sum + image.sizeBytes, 0);
  const httpSeconds = (options.nodes * imageBytes * 8) / options.linkBitsPerSecond;
  const logDirectory =
    options.logDirectory &&
    join(options.logDirectory, `${images.length}x${imageBytes / images.length / 1e6}mb-${contenderName}-${round}`);
  if (logDirectory) mkdirSync(logDirectory, { recursive: true });
  return await run({
    ...bench,
    contenderName,
    contender: contenders[contenderName]!,
    images,
    linkBitsPerSecond: options.linkBitsPerSecond,
    logDirectory,
    timeoutSeconds: options.timeoutSeconds ?? 60 + 3 * httpSeconds,
  });
}

async function agentsKnowZones(checkout: string): Promise<boolean> {
  const { agentConfigSchema } = (await import(join(checkout, "agent/config.ts"))) as {
    agentConfigSchema: { shape: object };
  };
  return "zone" in agentConfigSchema.shape;
}
