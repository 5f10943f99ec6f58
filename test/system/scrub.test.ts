/** What a disk spoils in the cache, found by a running agent and mended from the swarm. */
import { open } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ensure, metric, publish, startAgent, startSeeder } from "../fixtures/daemons.ts";
import { makeRandomFile, sha256Of } from "../fixtures/disks.ts";
import { temporaryDirectory } from "../fixtures/temporary-directory.ts";
import { run } from "../fixtures/tools.ts";

const program = join(import.meta.dirname, "../../bin/bootswarm.js");
const received = 'bootswarm_agent_received_bytes_total{source="swarm"}';

async function flipBit(path: string, offset: number): Promise<void> {
  await using file = await open(path, "r+");
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, offset);
  await file.write(Buffer.from([buffer[0]! ^ 1]), 0, 1, offset);
}

test("a flipped bit in a cached image is found by a scrub, and its piece alone comes again from the swarm", async () => {
  const directory = await temporaryDirectory();
  const source = await makeRandomFile(directory, "image", 32);
  const seeder = await startSeeder(join(directory, "seeder"));
  await publish(seeder, source, "image");
  const settings = { "fetch.fallback": "off" };
  const agent = await startAgent(seeder.url, join(directory, "node"), settings);
  const other = await startAgent(seeder.url, join(directory, "other"), settings, "other");
  const { path } = await ensure(agent, "image");
  await ensure(other, "image");

  const before = await metric(agent, received);
  await flipBit(path, 20_000_000);
  const { stdout } = await run(process.execPath, [program, "--agent", agent.url, "scrub", "image"]);
  expect(stdout).toMatch(/was damaged \(piece \d+ does not match its hash\) and is repaired/);
  expect(await sha256Of(path)).toBe(await sha256Of(source));
  // A piece of a 32 MiB image has 32 KiB.
  expect((await metric(agent, received)) - before).toBeLessThanOrEqual(64 * 1024);
  expect(await metric(agent, 'bootswarm_agent_scrub_damage_total{kind="hash"}')).toBe(1);
  const again = await run(process.execPath, [program, "--agent", agent.url, "scrub", "image"]);
  expect(again.stdout).toMatch(/image is sound/);
});

test("a damaged image that nobody has says what is wrong with it, and is not told as ready", async () => {
  const directory = await temporaryDirectory();
  const seeder = await startSeeder(join(directory, "seeder"));
  await publish(seeder, await makeRandomFile(directory, "image", 4), "image");
  const agent = await startAgent(seeder.url, join(directory, "node"), { "fetch.giveUpMs": 2_000 });
  const { path } = await ensure(agent, "image");
  await seeder.process.kill("SIGKILL");
  await flipBit(path, 1_000_000);
  const scrub = run(process.execPath, [program, "--agent", agent.url, "scrub", "image"]);
  await expect(scrub).rejects.toThrow(/is damaged \(piece \d+ does not match its hash\) and could not be repaired/);
  const { images } = await agent.service.listImages({});
  expect(images).toMatchObject([{ path: "", seeding: false }]);
  expect(images[0]?.damage).toMatch(/does not match its hash/);
});
