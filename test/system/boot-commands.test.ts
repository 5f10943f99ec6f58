/** Boots as an operator records, looks at and removes them by the command line, and what it refuses. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { BootRecordingState } from "../../proto/gen/bootswarm/agent/v1/boot_pb.js";
import { bootswarm, diskOf } from "../fixtures/attached-disk.ts";
import { ensure, publish, startAgent, startSeeder } from "../fixtures/daemons.ts";
import { makeRandomFile } from "../fixtures/disks.ts";
import { NbdClient } from "../fixtures/nbd-client.ts";
import { temporaryDirectory } from "../fixtures/temporary-directory.ts";

const KiB = 1024;
const pollOptions = { timeout: 60_000 };

test("a boot is recorded up to a number of bytes, shown, and removed; a boot image is no disk", async () => {
  const directory = await temporaryDirectory();
  const source = await makeRandomFile(directory, "disk.raw", 4);
  const seeder = await startSeeder(join(directory, "seeder"));
  const { digest } = await publish(seeder, source, "debian");
  const agent = await startAgent(seeder.url, join(directory, "node"), { "boot.record": "off" });
  const command = (...args: string[]) => bootswarm(agent, "--seeder", seeder.url, ...args);
  await ensure(agent, "debian");

  await expect(command("boot", "record", "debian", "--bytes", "much")).rejects.toThrow(/"much" is no size; write 80M/);
  await expect(command("boot", "record", "none")).rejects.toThrow(/none/);
  await expect(command("boot", "record", "debian")).rejects.toThrow(/attach/);
  await expect(command("boot", "show", "debian")).rejects.toThrow(/boot/);
  await command("disk", "attach", "debian", "--name", "vda");

  const recorded = command("boot", "record", "debian", "--bytes", "256K");
  const recording = async () => (await agent.service.listBootImages({})).recordings[0];
  await expect.poll(recording, pollOptions).toMatchObject({ state: BootRecordingState.RECORDING, disk: "vda" });
  {
    using client = await NbdClient.open((await diskOf(agent, "vda")).socketPath, "vda");
    for (let at = 0; at < 8; at += 1) expect((await client.read(at * 256 * KiB, 4 * KiB)).error).toBe(0);
  }
  // Blocks of 64 KiB are what counts.
  expect((await recorded).stdout).toMatch(/^recorded a boot of debian: \d reads, \d+ KiB; its boot image has \d+ KiB/);
  expect((await command("boot", "list")).stdout).toMatch(/debian/);
  expect((await command("boot", "show", "debian")).stdout.trim().split("\n").length).toBeGreaterThan(1);
  await expect(command("boot", "record", "debian")).rejects.toThrow(/boot image/);
  await expect(command("disk", "attach", `${digest}.boot`)).rejects.toThrow(
    /this is a boot image, which is no disk; attach the image that it is of/,
  );
  expect((await agent.service.listDisks({})).disks.map(({ name }) => name)).toEqual(["vda"]);

  const said = await command("boot", "rm", "debian");
  expect(said.stdout + said.stderr).toMatch(/removed the boot image of debian; its next boot .* is recorded/);
  await expect(command("boot", "rm", "debian")).rejects.toThrow(/debian has no boot image; `bootswarm boot list`/);
});
