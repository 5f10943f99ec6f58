/** A VM boots on a node that has nothing of its image but the boot image, which another node has recorded. */
import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { BootRecordingState } from "../../proto/gen/bootswarm/agent/v1/boot_pb.js";
import { attachDisk, bootswarm, diskOf, startFrom } from "../fixtures/attached-disk.ts";
import { fetchOf, metric, publish, startAgent, startSeeder, type TestAgent } from "../fixtures/daemons.ts";
import { makeRandomFile } from "../fixtures/disks.ts";
import { type Guest, makeGuest, makeGuestParts } from "../fixtures/guest.ts";
import { makeTemporaryDirectory, temporaryDirectory } from "../fixtures/temporary-directory.ts";

const MiB = 1024 * 1024;
const imageMiB = 64;
/** What the guest reads, in its order: an offset and a length in units of 64 KiB. */
const bootReads: [number, number][] = [
  [900, 4],
  [16, 1],
  [512, 8],
  [17, 3],
  [100, 2],
];
/** A loaded machine takes many times the seconds that it takes otherwise. */
const pollOptions = { timeout: 120_000, interval: 200 };

const bootScript = `
for read in ${bootReads.map((read) => read.join(":")).join(" ")}; do
  sum=$(dd if=/dev/vda iflag=direct bs=64k skip=\${read%:*} count=\${read#*:} 2>/dev/null | md5sum)
  echo "boot \${read%:*} \${sum%% *}"
done
echo GUEST-BOOTED
sleep 100000
`;

let guest: Guest;
let removeGuest: () => Promise<void>;

beforeAll(async () => {
  const { path, remove } = await makeTemporaryDirectory();
  removeGuest = remove;
  guest = await makeGuest(await makeGuestParts(path), "booter", bootScript);
});
afterAll(() => removeGuest());

/** What the guest is to say of what it reads. */
async function expectedReads(path: string): Promise<string[]> {
  await using file = await open(path);
  return await Promise.all(
    bootReads.map(async ([unit, units]) => {
      const bytes = Buffer.alloc(units * 65_536);
      await file.read(bytes, 0, bytes.length, unit * 65_536);
      return `boot ${unit} ${createHash("md5").update(bytes).digest("hex")}`;
    }),
  );
}

/** Starts a machine from a disk and waits until it has booted; what it said of its reads. */
async function bootFrom(agent: TestAgent, image: string): Promise<string[]> {
  const machine = await startFrom(await attachDisk(agent, image, "--name", "vda"), guest);
  await machine.says(/GUEST-BOOTED/, 120_000);
  const lines = machine
    .output()
    .split(/\r?\n/)
    .filter((line) => line.startsWith("boot "));
  await machine.kill("SIGKILL");
  return lines;
}

test("a VM boots from a boot image that another node has recorded, though nobody has the image any more", async () => {
  const directory = await temporaryDirectory();
  const source = await makeRandomFile(directory, "disk.raw", imageMiB);
  const reads = await expectedReads(source);
  const seeder = await startSeeder(join(directory, "seeder"));
  const { digest } = await publish(seeder, source, "debian");

  const first = await startAgent(seeder.url, join(directory, "first"), { "boot.quietMs": 600_000 }, "first");
  expect(await bootFrom(first, "debian")).toEqual(reads);
  // The guest is up: it is quiet for seconds before its kernel has found the disk, too.
  await bootswarm(first, "boot", "stop", "debian");
  const recording = async () => (await first.service.listBootImages({})).recordings[0];
  await expect.poll(recording, pollOptions).toMatchObject({ digest, state: BootRecordingState.PUBLISHED });

  // So slow that next to nothing of the image comes before there is nobody left to send it.
  const slow = { "swarm.downloadBytesPerSecondMax": 500_000, "fetch.fallback": "off", "boot.record": "off" };
  const second = await startAgent(seeder.url, join(directory, "second"), slow, "second");
  const bootImages = async () => (await second.service.listBootImages({})).bootImages;
  await expect.poll(bootImages, pollOptions).toMatchObject([{ bootOf: digest }]);
  const { stdout } = await bootswarm(second, "--seeder", seeder.url, "boot", "list");
  expect(stdout).toMatch(/debian/);
  await first.process.kill("SIGKILL");
  const disk = await attachDisk(second, "debian", "--name", "vda");
  await seeder.process.kill("SIGKILL");
  expect(Number((await fetchOf(second, digest))?.doneBytes)).toBeLessThan((imageMiB * MiB) / 4);

  const machine = await startFrom(disk, guest);
  await machine.says(/GUEST-BOOTED/, 120_000);
  expect(
    machine
      .output()
      .split(/\r?\n/)
      .filter((line) => line.startsWith("boot ")),
  ).toEqual(reads);
  const bytesOf = async () => {
    const { readBytes, bootImageBytes, fileBytes, demandBytes } = await diskOf(second, "vda");
    return { isAllFromBootImage: readBytes > MiB && readBytes === bootImageBytes, fileBytes, demandBytes };
  };
  await expect.poll(bytesOf, pollOptions).toEqual({ isAllFromBootImage: true, fileBytes: 0n, demandBytes: 0n });
  expect(await metric(second, "bootswarm_agent_boot_hits_total")).toBeGreaterThanOrEqual(bootReads.length);
});
