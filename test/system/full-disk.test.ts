/** A disk that fills up, on a small file system of the test's own. */
import { mkdir, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { FetchState } from "../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import { ensure, fetchOf, metric, publish, startAgent, startSeeder } from "../fixtures/daemons.ts";
import { makeRandomFile, sha256Of } from "../fixtures/disks.ts";
import { eventually } from "../fixtures/processes.ts";
import { temporaryDirectory } from "../fixtures/temporary-directory.ts";
import { run } from "../fixtures/tools.ts";

/** A file system in memory, at a path below the directory. */
async function mountedDirectory(directory: string, sizeMiB: number): Promise<string> {
  const path = join(directory, "small");
  await mkdir(path);
  await run("mount", ["-t", "tmpfs", "-o", `size=${sizeMiB}m`, "tmpfs", path]);
  onTestFinished(async () => {
    await run("umount", ["--lazy", path]);
  });
  return path;
}

test("an image that cannot fit is refused at once, with the figures", async () => {
  const directory = await temporaryDirectory();
  const small = await mountedDirectory(directory, 24);
  const seeder = await startSeeder(join(directory, "seeder"));
  await publish(seeder, await makeRandomFile(directory, "large", 32), "large");
  const agent = await startAgent(seeder.url, join(small, "node"));
  await expect(ensure(agent, "large")).rejects.toThrow(/no room.*32.*MiB.*free.*free space/s);
});

/** An agent on a small disk that has one image and is half-way through the next, which comes slowly. */
async function halfWay(small: string, directory: string) {
  const seeder = await startSeeder(join(directory, "seeder"), { "swarm.uploadBytesPerSecondMax": 5 * 1024 * 1024 });
  await publish(seeder, await makeRandomFile(directory, "first", 4), "first");
  const agent = await startAgent(seeder.url, join(small, "node"), { "fetch.fallback": "off" });
  await ensure(agent, "first");
  const second = await makeRandomFile(directory, "second", 16);
  const { digest } = await publish(seeder, second, "second");
  const fetching = ensure(agent, "second");
  fetching.catch(() => {});
  await eventually(async () => ((await fetchOf(agent, digest))?.doneBytes ?? 0n) > 2_000_000n || undefined, "it runs");
  const paused = () =>
    eventually(async () => {
      const fetch = await fetchOf(agent, digest);
      return fetch?.state === FetchState.PAUSED ? fetch : undefined;
    }, "it is paused");
  return { seeder, agent, second, digest, fetching, paused };
}

/** Fills a file system to its last byte; removing the file gives the space back. */
async function filled(small: string): Promise<string> {
  const filler = join(small, "filler");
  await writeFile(filler, Buffer.alloc(64 * 1024 * 1024)).catch(() => {});
  return filler;
}

test("a disk that fills up under a fetch pauses that fetch alone; what is cached is served, and room lets it go on by itself", async () => {
  const directory = await temporaryDirectory();
  const small = await mountedDirectory(directory, 40);
  const { seeder, agent, second, fetching, paused } = await halfWay(small, directory);
  const filler = await filled(small);
  expect((await paused()).error).toMatch(/is full/);
  expect(await metric(agent, 'bootswarm_agent_fetches_paused{fault="full"}')).toBe(1);

  const other = await startAgent(seeder.url, join(directory, "other"), {}, "other");
  await ensure(other, "first");
  await rm(filler);
  const { path, fetch } = await fetching;
  expect(await sha256Of(path)).toBe(await sha256Of(second));
  expect(Number(fetch.swarmBytes)).toBeLessThan(1.3 * (await stat(second)).size);
});

test("an agent that is started again on a full disk keeps the fetch paused, and goes on with what is here", async () => {
  const directory = await temporaryDirectory();
  const small = await mountedDirectory(directory, 40);
  const { seeder, agent, second, digest, paused } = await halfWay(small, directory);
  const filler = await filled(small);
  await paused();
  await agent.process.kill("SIGKILL");
  const again = await startAgent(seeder.url, join(small, "node"), { "fetch.fallback": "off" });
  expect((await fetchOf(again, digest))?.state).toBe(FetchState.PAUSED);
  await rm(filler);
  const { path, fetch } = await ensure(again, "second");
  expect(await sha256Of(path)).toBe(await sha256Of(second));
  expect(Number(fetch.swarmBytes)).toBeLessThan((await stat(second)).size);
});
