/** Disks over NBD under running VMs: before the image is there, over restarts of the agent, and handed over. */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DiskState } from "../../proto/gen/bootswarm/agent/v1/disk_pb.js";
import { attachDisk, bootswarm, diskOf, startFrom } from "../fixtures/attached-disk.ts";
import { ensure, publish, startAgent, startSeeder } from "../fixtures/daemons.ts";
import { makeQcow2Disk, makeRandomFile } from "../fixtures/disks.ts";
import { type Guest, makeGuest, makeGuestParts, readLoopScript } from "../fixtures/guest.ts";
import { guestReadErrors, mebibyteDigests, moreRead, wrongReads } from "../fixtures/guest-reads.ts";
import { eventually, type TestProcess } from "../fixtures/processes.ts";
import { makeTemporaryDirectory, temporaryDirectory } from "../fixtures/temporary-directory.ts";
import { run } from "../fixtures/tools.ts";

let guest: Guest;
let removeGuest: () => Promise<void>;

beforeAll(async () => {
  const { path, remove } = await makeTemporaryDirectory();
  removeGuest = remove;
  guest = await makeGuest(await makeGuestParts(path), "reader", readLoopScript);
});
afterAll(() => removeGuest());

test("a VM starts and reads right bytes while its image is still on its way", async () => {
  const directory = await temporaryDirectory();
  const source = await makeRandomFile(directory, "disk.raw", 64);
  // Two minutes for all of it; what is read first does not wait for the rest.
  const seeder = await startSeeder(join(directory, "seeder"), { "swarm.uploadBytesPerSecondMax": 512 * 1024 });
  await publish(seeder, source, "disk");
  const agent = await startAgent(seeder.url, join(directory, "node"), { "fetch.fallback": "off" });
  const disk = await attachDisk(agent, "disk", "--overlay", join(directory, "vm1.qcow2"));
  const machine = await startFrom(disk, guest);
  await moreRead(machine, 4);
  const now = await diskOf(agent, "vm1");
  expect(now).toMatchObject({ imageComplete: false, readErrors: 0n });
  expect(now.demandBytes).toBeGreaterThan(0n);
  expect(wrongReads(machine, await mebibyteDigests(source))).toEqual([]);
  expect(guestReadErrors(machine)).toEqual([]);
});

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
  // What the guest says of its reads comes late: those of before must not be taken for new ones.
  await expect.poll(async () => (await diskOf(third, "vm1")).connections, { timeout: 60_000 }).toBe(1);
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

test.each([
  { format: "raw", how: "asked for" },
  { format: "qcow2", how: "by itself, after a restart of the agent" },
] as const)(
  "a VM of a $format image is handed over ($how), reads on without the agent, and has noticed nothing",
  async ({ format, how }) => {
    const directory = await temporaryDirectory();
    const raw = await makeRandomFile(directory, "disk.raw", 8);
    const seeder = await startSeeder(join(directory, "seeder"));
    await publish(seeder, format === "raw" ? raw : await makeQcow2Disk(raw), "disk");
    const state = join(directory, "node");
    // A boot that is recorded is handed over later.
    const settings = { "boot.record": "off" };
    const first = await startAgent(seeder.url, state, settings);
    await ensure(first, "disk");
    const overlay = join(directory, "vm1.qcow2");
    const qmpPath = join(directory, "qmp");
    const qmp = ["--qmp", qmpPath];
    let agent = first;
    let machine: TestProcess;
    if (how === "asked for") {
      machine = await startFrom(await attachDisk(first, "disk", "--overlay", overlay), guest, qmpPath);
      await moreRead(machine, 3);
      await bootswarm(first, "disk", "handover", "vm1", ...qmp);
    } else {
      machine = await startFrom(await attachDisk(first, "disk", "--overlay", overlay, ...qmp), guest);
      await first.process.kill("SIGKILL");
      agent = await startAgent(seeder.url, state, settings);
      await eventually(async () => (await diskOf(agent, "vm1")).handedOverAt, "the disk is handed over");
    }
    const { reads, state: now } = await diskOf(agent, "vm1");
    expect(now).toBe(DiskState.HANDED_OVER);
    await moreRead(machine, 5);
    expect(await diskOf(agent, "vm1")).toMatchObject({ reads, connections: 0 });
    // Asked for again, nothing is done.
    await bootswarm(agent, "disk", "handover", "vm1");
    await agent.process.kill("SIGKILL");
    await moreRead(machine, 3);
    const again = await startAgent(seeder.url, state, settings);
    expect(await diskOf(again, "vm1")).toMatchObject({ state: DiskState.HANDED_OVER, error: "" });
    await expect(bootswarm(again, "rm", "--force", "disk")).rejects.toThrow(/attached as disk vm1/);
    await expect(bootswarm(again, "disk", "detach", "vm1")).rejects.toThrow(/a VM that runs .* reads the image's file/);
    expect(wrongReads(machine, await mebibyteDigests(raw))).toEqual([]);
    expect(guestReadErrors(machine)).toEqual([]);
    await machine.kill("SIGKILL");
    // The overlay opens over the image's file, with no agent between.
    await run("qemu-img", ["compare", "-f", "qcow2", "-F", "raw", overlay, raw]);
    await bootswarm(again, "disk", "detach", "vm1");
  },
);
