/** npm run bench:swarm: the time until every node has every image, contender against contender. See options.ts. */
import { createHash, randomFillSync } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { startAgents } from "./agents.ts";
import type { BenchImage, Contender } from "./contender.ts";
import { Lab } from "./lab.ts";
import { singleStreamShare } from "./link-check.ts";
import { type BenchOptions, optionsFrom, type Scenario, usage } from "./options.ts";
import { printFigures } from "./print.ts";
import { figuresOf, type RunResult, scenarioOf } from "./results.ts";
import { run } from "./run.ts";

const contenders: Record<string, Contender> = {
  bootswarm: (options) => startAgents(options, true),
  http: (options) => startAgents(options, false),
};

// The lab goes at the process's end, whichever way that comes.
for (const [signal, status] of Object.entries({ SIGINT: 130, SIGTERM: 143, SIGHUP: 129 })) {
  process.once(signal, () => process.exit(status));
}
try {
  const options = optionsFrom(process.argv.slice(2));
  if (options.help) process.stdout.write(usage);
  else await bench(options);
} catch (error) {
  console.error(process.env.DEBUG ? error : `bench:swarm: ${(error as Error).message}`);
  process.exit(1);
}

async function bench(options: BenchOptions): Promise<void> {
  for (const name of options.contenders) {
    if (!contenders[name]) throw new Error(`there is no contender ${name}; there are ${Object.keys(contenders)}`);
  }
  using lab = Lab.make(options);
  const directory = mkdtempSync(join(options.directory, "bootswarm-bench-"));
  const removeDirectory = () => rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
  process.once("exit", removeDirectory);
  const share = await singleStreamShare(lab, options.linkBitsPerSecond);
  console.log(`one TCP stream reaches ${share.toFixed(3)} of a link's nominal rate`);
  const results: RunResult[] = [];
  for (const scenario of options.scenarios) {
    const images = await makeImages(directory, scenario);
    for (let round = 1; round <= options.rounds; round++) {
      for (const contenderName of options.contenders) {
        const result = await runOne(options, lab, directory, images, contenderName, round);
        results.push(result);
        printFigures([figuresOf(result)]);
      }
    }
    for (const image of images) rmSync(image.path);
  }
  if (results.length > 1) printFigures(results.map(figuresOf));
  removeDirectory();
  process.removeListener("exit", removeDirectory);
}

async function runOne(
  options: BenchOptions,
  lab: Lab,
  directory: string,
  images: BenchImage[],
  contenderName: string,
  round: number,
): Promise<RunResult> {
  const imageBytes = images.reduce((sum, image) => sum + image.sizeBytes, 0);
  const httpSeconds = (options.nodes * imageBytes * 8) / options.linkBitsPerSecond;
  const label = `${scenarioOf({ images: images.length, nodes: options.nodes })}-${imageBytes / images.length / 1e6}mb`;
  return await run({
    lab,
    contenderName,
    contender: contenders[contenderName]!,
    images,
    linkBitsPerSecond: options.linkBitsPerSecond,
    agentSettings: options.agentSettings,
    directory,
    logDirectory: options.logDirectory && join(options.logDirectory, `${label}-${contenderName}-${round}`),
    timeoutSeconds: options.timeoutSeconds ?? 60 + 3 * httpSeconds,
  });
}

/** Images of random bytes. */
async function makeImages(directory: string, { images, imageBytes }: Scenario): Promise<BenchImage[]> {
  const made: BenchImage[] = [];
  const chunk = Buffer.alloc(1_000_000);
  for (let number = 1; number <= images; number++) {
    const path = join(directory, `image-${number}`);
    const hash = createHash("sha256");
    await using file = await open(path, "w");
    for (let at = 0; at < imageBytes; at += chunk.length) {
      const bytes = randomFillSync(chunk).subarray(0, Math.min(chunk.length, imageBytes - at));
      hash.update(bytes);
      await file.writeFile(bytes);
    }
    made.push({ name: `image-${number}`, path, sha256: hash.digest("hex"), sizeBytes: imageBytes });
  }
  return made;
}
