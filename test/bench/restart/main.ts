/**
 * npm run bench:restart: how soon an agent serves again after a start, its cache full of complete images. From the process's
 * start until the API answers, until a block of one image has come from it, and until a block of each has.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { request } from "undici";
import { freePort } from "../../fixtures/torrents.ts";
import { installedLauncher } from "../agent/installed.ts";
import { launcherFromSources, startDaemon } from "../child.ts";
import { commandLine } from "../command-line.ts";
import { runFacts } from "../machine.ts";
import { medians, rounded } from "../statistics.ts";
import { firstBlock } from "./first-block.ts";
import { fillStateDirectory } from "./state-directory.ts";

const values = commandLine(
  "bench:restart",
  "how soon an agent serves again after a start, its cache full of complete images",
  {
    images: { default: 200, means: "images in the cache" },
    "size-gib": { default: 1, means: "size of each, in GiB; the files are sparse" },
    rounds: { default: 5, means: "starts" },
    from: {
      value: "LIST",
      default: "sources,packed",
      means: "what is run: the sources, or what npm pack makes, installed",
    },
    out: { value: "FILE", means: "write the results as JSON" },
  },
);
const retryMs = 2;
/** Connections that ask at the same time. */
const askersMax = 8;

const folder = mkdtempSync(join(tmpdir(), "bootswarm-bench-"));
try {
  const images = values.images;
  const full = join(folder, "full");
  const infohashes = fillStateDirectory(full, images, values["size-gib"] * 2 ** 30);
  const empty = join(folder, "empty");
  fillStateDirectory(empty, 0, 0);
  const runs = [];
  for (const from of values.from.split(",")) {
    const launcher = from === "packed" ? await installedLauncher(folder) : launcherFromSources;
    const rounds = [];
    // The first start reads everything from the disk.
    for (let round = 0; round <= values.rounds; round++) {
      const measured = {
        ...(await measure(launcher, full, infohashes)),
        emptyApiMs: (await measure(launcher, empty, [])).apiMs,
      };
      if (round > 0) rounds.push(measured);
    }
    runs.push({ from, medians: medians(rounds), rounds });
    console.log(
      `started from ${from}, ${images} images of ${values["size-gib"]} GiB: ms from the process's start, medians`,
    );
    console.table(medians(rounds));
  }
  if (values.out) {
    const { out: _, ...options } = values;
    writeFileSync(values.out, `${JSON.stringify({ ...runFacts(), options, runs }, undefined, 2)}\n`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

async function measure(launcher: readonly string[], stateDirectory: string, infohashes: readonly string[]) {
  const [apiPort, peerPort] = [await freePort(), await freePort()];
  const startedMs = performance.now();
  const since = () => rounded(performance.now() - startedMs, 0);
  const settings = { stateDirectory, "seeder.url": "http://127.0.0.1:9", "swarm.port": peerPort };
  const starting = startDaemon("agent", { ...settings, listen: `127.0.0.1:${apiPort}` }, launcher);
  const [apiMs, blockMs, allBlocksMs] = await Promise.all([
    apiAnswers(apiPort).then(since),
    infohashes.length === 0 ? 0 : firstBlock(peerPort, infohashes[infohashes.length >> 1]!).then(since),
    allBlocks(peerPort, infohashes).then(since),
  ]);
  const { process } = await starting;
  await process.end("SIGTERM");
  return { apiMs, blockMs, allBlocksMs };
}

async function apiAnswers(port: number): Promise<void> {
  for (;;) {
    const answer = await request(`http://127.0.0.1:${port}/healthz`).catch(() => undefined);
    await answer?.body.dump();
    if (answer?.statusCode === 200) return;
    await delay(retryMs);
  }
}

async function allBlocks(port: number, infohashes: readonly string[]): Promise<void> {
  const left = [...infohashes];
  const ask = async () => {
    for (let next = left.pop(); next !== undefined; next = left.pop()) await firstBlock(port, next);
  };
  await Promise.all(Array.from({ length: askersMax }, ask));
}
