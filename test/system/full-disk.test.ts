/** A disk that fills up, on a small file system of the test's own. */
import { mkdir, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { ensure, fetchOf, publish, startAgent, startSeeder } from "../fixtures/daemons.ts";
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
  await expect(ensure(agent, "large")).rejects.toThrow(/no room.*32.*MiB.*free.*remove images or free space/s);
});

test("a disk that fills up under a fetch fails that fetch alone; what is cached is served, and room lets it go on", async () => {
  const directory = await temporaryDirectory();
  const small = await mountedDirectory(directory, 40);
  const seeder = await startSeeder(join(directory, "seeder"), { "swarm.uploadBytesPerSecondMax": 2 * 1024 * 1024 });
  await publish(seeder, await makeRandomFile(directory, "first", 4), "first");
  const agent = await startAgent(seeder.url, join(small, "node"), { "fetch.fallback": false });
  await ensure(agent, "first");

  const second = await makeRandomFile(directory, "second", 16);
  const { digest } = await publish(seeder, second, "second");
  const fetching = ensure(agent, "second").catch((error: unknown) => error as Error);
  await eventually(async () => ((await fetchOf(agent, digest))?.doneBytes ?? 0n) > 2_000_000n || undefined, "it runs");
  const filler = join(small, "filler");
  await writeFile(filler, Buffer.alloc(64 * 1024 * 1024)).catch(() => {});
  const failure = await fetching;
  expect(String(failure)).toMatch(/no space|full/i);

  const other = await startAgent(seeder.url, join(directory, "other"), {}, "other");
  await ensure(other, "first");
  await rm(filler);
  const { path, fetch } = await ensure(agent, "second");
  expect(await sha256Of(path)).toBe(await sha256Of(second));
  expect(Number(fetch.swarmBytes)).toBeLessThan((await stat(second)).size);
});
