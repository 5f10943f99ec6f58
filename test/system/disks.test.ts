/** Disks over NBD under running VMs: before the image is there, over restarts of the agent, and handed over. */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { attachDisk, bootswarm, diskOf, startFrom } from "../fixtures/attached-disk.ts";
import { ensure, publish, startAgent, startSeeder } from "../fixtures/daemons.ts";
import { makeRandomFile } from "../fixtures/disks.ts";
import { type Guest, makeGuest, makeGuestParts, readLoopScript } from "../fixtures/guest.ts";
import { guestReadErrors, mebibyteDigests, moreRead, wrongReads } from "../fixtures/guest-reads.ts";
import { makeTemporaryDirectory, temporaryDirectory } from "../fixtures/temporary-directory.ts";

let guest: Guest;
let removeGuest: () => Promise<void>;

beforeAll(async () => {
  const { path, remove } = await makeTemporaryDirectory();
  removeGuest = remove;
  guest = await makeGuest(await makeGuestParts(path), "reader", readLoopScript);
});
afterAll(() => removeGuest());

test("a VM reads on while its agent is restarted, and while it is killed and comes back", async () => {
  const directory = await temporaryDirectory();
  const source = await makeRandomFile(directory, "disk.raw", 8);
  const seeder = await startSeeder(join(directory, "seeder"));
  await publish(seeder, source, "disk");
  const state = join(directory, "node");
  const first = await startAgent(seeder.url, state);
  await ensure(first, "disk");
  const overlay = join(directory, "vm1.qcow2");
  const disk = await attachDisk(first, "disk", "--overlay", overlay);
  const machine = await startFrom(disk, guest);
  await moreRead(machine, 3);
  await first.process.kill("SIGTERM");
  const second = await startAgent(seeder.url, state);
  await moreRead(machine, 5);
  await second.process.kill("SIGKILL");
  const third = await startAgent(seeder.url, state);
  await moreRead(machine, 5);
  expect(wrongReads(machine, await mebibyteDigests(source))).toEqual([]);
  expect(guestReadErrors(machine)).toEqual([]);
  expect(await diskOf(third, "vm1")).toMatchObject({ uri: disk.uri, overlayPath: overlay });
  await expect(bootswarm(third, "disk", "detach", "vm1")).rejects.toThrow(/1 NBD client is connected/);
  await expect(bootswarm(third, "rm", "--force", "disk")).rejects.toThrow(/attached as disk vm1; detach that/);
  await machine.kill("SIGKILL");
  await expect.poll(async () => (await diskOf(third, "vm1")).connections).toBe(0);
  const { stderr } = await bootswarm(third, "disk", "detach", "vm1");
  expect(stderr).toMatch(/vm1.qcow2 is nothing without the image/);
  expect((await third.service.listDisks({})).disks).toEqual([]);
});
