/**
 * npm run bench:agent: what an agent costs its node. Memory and CPU of one that seeds its images and is otherwise idle, and
 * of one with three active fetches, run from sources and as packed and installed.
 */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { request } from "undici";
import { launcherFromSources, startDaemon } from "../child.ts";
import { commandLine } from "../command-line.ts";
import { runFacts } from "../machine.ts";
import { medians, rounded } from "../statistics.ts";
import { installedLauncher } from "./installed.ts";
import { ensure, type Fetching, type Idle, measureFetches, measureIdle, startAgent } from "./phases.ts";

const values = commandLine(
  "bench:agent",
  "what an agent costs its node: memory and CPU, with three active fetches and idle",
  {
    images: { default: 100, means: "images that the idle agent seeds" },
    "image-mib": { default: 8, means: "size of each, in MiB" },
    seconds: { default: 60, means: "how long it is looked at" },
    "fetch-mib": { default: 512, means: "size of what is fetched, in MiB" },
    rounds: { default: 3, means: "fetches, so many times" },
    from: {
      value: "LIST",
      default: "sources,packed",
      means: "what is run: the sources, or what npm pack makes, installed",
    },
    "node-flags": { value: "FLAGS", default: "", means: "options of node itself" },
    out: { value: "FILE", means: "write the results as JSON" },
  },
);
const images = values.images;
/** As many as an agent has active at once. */
const fetches = 3;
const mib = 1024 * 1024;
const folder = mkdtempSync(join(tmpdir(), "bootswarm-bench-"));
try {
  const launchers = await launchersOf(values.from.split(","));
  const seeder = await startDaemon("seeder", { dataDirectory: join(folder, "seeder") });
  await using _process = seeder.process;
  const fetched = Array.from({ length: fetches }, (_, index) => `large-${index}`);
  for (const name of fetched) await publish(seeder.url, name, values["fetch-mib"]);
  const fetching = await measureAllFetches();
  const idle = await measureAllIdle();
  console.log(`${fetches} fetches of ${values["fetch-mib"]} MiB at once, medians`);
  console.table(fetching.summary);
  console.log(`seeding ${images} images of ${values["image-mib"]} MiB, idle but for scrapes`);
  console.table(idle);
  if (values.out) {
    const { from: _, out: __, ...options } = values;
    const run = { ...runFacts(), options, idle, fetches: fetching.summary, rounds: fetching.rounds };
    writeFileSync(values.out, `${JSON.stringify(run, undefined, 2)}\n`);
  }
  await seeder.process.end("SIGTERM");

  async function measureAllFetches() {
    const rounds: Record<string, Fetching[]> = Object.fromEntries([...launchers.keys()].map((from) => [from, []]));
    for (let round = 1; round <= values.rounds; round++) {
      for (const [from, launcher] of launchers) {
        const stateDirectory = mkdtempSync(join(folder, "state-"));
        const agent = { launcher, seederUrl: seeder.url, stateDirectory };
        const measured = await measureFetches(agent, fetched, values["fetch-mib"] * mib);
        rmSync(stateDirectory, { recursive: true });
        rounds[from]?.push(measured);
        const rate = `${measured.mbPerSecond.toFixed(0)} MB/s, CPU s/GB ${measured.cpuSecondsPerGb.toFixed(2)}`;
        console.log(`round ${round}, ${from}: ${rate}, peak ${measured.peakMib.toFixed(0)} MiB`);
      }
    }
    const summary = Object.entries(rounds).map(([from, all]) => [from, medians<keyof Fetching & string>(all)]);
    return { rounds, summary: Object.fromEntries(summary) as Record<string, Fetching> };
  }

  async function measureAllIdle(): Promise<Record<string, Idle>> {
    if (images === 0) return {};
    const stateDirectory = join(folder, "idle");
    const filling = await startAgent({ launcher: launcherFromSources, seederUrl: seeder.url, stateDirectory });
    for (let index = 0; index < images; index++) {
      await publish(seeder.url, `small-${index}`, values["image-mib"]);
      await ensure(filling.service, `small-${index}`);
    }
    await filling.process.end("SIGTERM");
    const measured: Record<string, Idle> = {};
    for (const [from, launcher] of launchers) {
      const agent = { launcher, seederUrl: seeder.url, stateDirectory };
      const once = await measureIdle(agent, images, values.seconds);
      const figures = Object.entries(once).map(([figure, value]) => [figure, rounded(value)]);
      measured[from] = Object.fromEntries(figures) as Idle;
    }
    return measured;
  }
} finally {
  rmSync(folder, { recursive: true });
}

async function launchersOf(kinds: readonly string[]): Promise<Map<string, readonly string[]>> {
  const [node, ...rest] = launcherFromSources as [string, ...string[]];
  const flags = values["node-flags"] === "" ? [] : values["node-flags"].split(" ");
  const launchers = new Map<string, readonly string[]>();
  if (kinds.includes("sources")) launchers.set("sources", [node, ...flags, ...rest]);
  if (kinds.includes("packed")) {
    const [packedNode, ...packed] = (await installedLauncher(folder)) as [string, ...string[]];
    launchers.set("packed", [packedNode, ...flags, ...packed]);
  }
  return launchers;
}

/** Publishes an image of random bytes. */
async function publish(url: string, name: string, sizeMib: number): Promise<void> {
  const chunks = function* () {
    for (let sent = 0; sent < sizeMib; sent++) yield randomBytes(mib);
  };
  const headers = { "content-length": String(sizeMib * mib) };
  const answer = await request(`${url}/images/${name}`, { method: "PUT", headers, body: Readable.from(chunks()) });
  const text = await answer.body.text();
  if (answer.statusCode !== 201) throw new Error(`publishing ${name} was answered ${answer.statusCode}: ${text}`);
}
