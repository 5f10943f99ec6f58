/** Boots as nodes and the seeder have them together: recorded on one, read from the boot image on another. */
import { createHash, randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { BootRecordingState } from "../../../proto/gen/bootswarm/agent/v1/boot_pb.js";
import { NbdClient } from "../../fixtures/nbd-client.ts";
import { type RunningSeeder, startSeeder } from "../seeder/running-seeder.ts";
import { fetchToEnd, type RunningAgent, startAgent } from "./running-agent.ts";

/** Totals are told once a second; a loaded machine takes its time. */
const pollOptions = { timeout: 20_000 };
const MiB = 1024 * 1024;
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

async function publish(seeder: RunningSeeder, name: string, bytes: Buffer): Promise<string> {
  const { status } = await fetch(`${seeder.url}/images/${name}`, { method: "PUT", body: new Uint8Array(bytes) });
  expect(status).toBe(201);
  return sha256(bytes);
}

/** Attaches an image and reads ranges of it as a VM would; closes the connection after. */
async function readThrough(agent: RunningAgent, image: string, ranges: [number, number][]): Promise<Buffer[]> {
  const { disk } = await agent.service.attachDisk({ image });
  using client = await NbdClient.open(disk?.socketPath as string, disk?.name as string);
  const read: Buffer[] = [];
  for (const [offset, length] of ranges) read.push((await client.read(offset, length)).data);
  return read;
}

const boot: [number, number][] = [
  [3 * MiB, 4_096],
  [0, 512],
  [MiB, 300_000],
];

/** Reads an image as a boot does, and has that recorded until it is told to stop. */
async function recordBoot(agent: RunningAgent, image: string, ranges = boot): Promise<void> {
  await readThrough(agent, image, ranges);
  const recording = async () => (await agent.service.listBootImages({})).recordings[0];
  await expect.poll(async () => Number((await recording())?.reads), pollOptions).toBe(ranges.length);
  await agent.service.stopRecording({ image });
  await expect.poll(recording, pollOptions).toMatchObject({ state: BootRecordingState.PUBLISHED, error: "" });
}

async function metric(agent: RunningAgent, name: string): Promise<number> {
  const text = await (await fetch(`${agent.url}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1]);
}

test("the first boot of an image is recorded by itself, and other nodes read theirs from the boot image", async () => {
  const seeder = await startSeeder();
  const image = randomBytes(8 * MiB);
  const digest = await publish(seeder, "debian", image);
  const recorder = await startAgent(seeder.url);
  await fetchToEnd(recorder, "debian");
  await recordBoot(recorder, "debian");

  const other = await startAgent(seeder.url, { "boot.record": "off" });
  const bootImages = async () => (await other.service.listBootImages({})).bootImages;
  await expect.poll(bootImages, pollOptions).toMatchObject([{ bootOf: digest }]);
  const { image: bootImage } = await seeder.catalog.getImage({ image: `${digest}.boot` });
  expect(Number(bootImage?.sizeBytes)).toBeLessThan(MiB);
  // What is read of an image that is not here comes from its boot image, or it does not come.
  await seeder.catalog.listImages({});
  const attached = await other.service.attachDisk({ image: "debian" });
  const disk = attached.disk;
  await other.service.cancelFetch({ image: "debian" }).catch(() => {});
  using client = await NbdClient.open(disk?.socketPath as string, disk?.name as string);
  for (const [offset, length] of boot) {
    expect((await client.read(offset, length)).data.equals(image.subarray(offset, offset + length))).toBe(true);
  }
  const bootBytes = boot.reduce((sum, [, length]) => sum + length, 0);
  const stats = async () => (await other.service.listDisks({})).disks[0];
  await expect.poll(stats, pollOptions).toMatchObject({ bootImageBytes: BigInt(bootBytes), demandBytes: 0n });
  expect(await metric(other, "bootswarm_agent_boot_hits_total")).toBe(boot.length);
  await expect(other.service.attachDisk({ image: `${digest}.boot` })).rejects.toThrow(/this is a boot image/);
});
