/** Boots as nodes and the seeder have them together: recorded on one, read from the boot image on another. */
import { createHash, randomBytes } from "node:crypto";
import { open, readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { BootRecordingState } from "../../proto/gen/bootswarm/agent/v1/boot_pb.js";
import { NbdClient } from "../fixtures/nbd-client.ts";
import { fetchToEnd, type RunningAgent, startAgent } from "../unit/agent/running-agent.ts";
import { type RunningSeeder, startSeeder } from "../unit/seeder/running-seeder.ts";

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

/** Reads of all of an image. */
function allOf(bytes: Buffer): [number, number][] {
  const readBytes = 256 * 1024;
  return Array.from({ length: Math.ceil(bytes.length / readBytes) }, (_, index) => {
    const offset = index * readBytes;
    return [offset, Math.min(readBytes, bytes.length - offset)];
  });
}

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

test("the rest of an image waits while a VM boots from the boot image, and comes after", async () => {
  const seeder = await startSeeder();
  const image = randomBytes(32 * MiB);
  const digest = await publish(seeder, "debian", image);
  const recorder = await startAgent(seeder.url);
  await fetchToEnd(recorder, "debian");
  await recordBoot(
    recorder,
    "debian",
    Array.from({ length: 64 }, (_, at) => [at * MiB * 0.5, 4_096]),
  );

  const rate = { "boot.record": "off", "swarm.downloadBytesPerSecondMax": 2 * MiB };
  const other = await startAgent(seeder.url, rate);
  await expect
    .poll(async () => (await other.service.listBootImages({})).bootImages, pollOptions)
    .toMatchObject([{ bootOf: digest }]);
  const { disk } = await other.service.attachDisk({ image: "debian" });
  using client = await NbdClient.open(disk?.socketPath as string, disk?.name as string);
  const activity = async () => {
    const { fetches } = await other.service.listFetches({});
    return fetches.find((each) => each.digest === digest)?.activity ?? "";
  };
  // As a guest does: it goes on to read until the end of its boot.
  for (let at = 0; !(await activity()).includes("slowly, while a VM boots"); at = (at + 1) % 64) {
    const { data } = await client.read(at * MiB * 0.5, 4_096);
    expect(data.equals(image.subarray(at * MiB * 0.5, at * MiB * 0.5 + 4_096))).toBe(true);
  }
  const { path } = await fetchToEnd(other, "debian");
  expect(sha256(await readFile(path))).toBe(digest);
});

test("where a boot is only known, the rest of the image and the boot image wait for what the boot reads, and for the boot", async () => {
  const seeder = await startSeeder();
  const image = randomBytes(32 * MiB);
  const digest = await publish(seeder, "debian", image);
  const recorder = await startAgent(seeder.url);
  await fetchToEnd(recorder, "debian");
  const bootReads = Array.from({ length: 8 }, (_, at): [number, number] => [(24 - 3 * at) * MiB, 4_096]);
  await recordBoot(recorder, "debian", bootReads);

  const settings = { "boot.record": "off", "boot.prefetch": "off", "swarm.downloadBytesPerSecondMax": 4 * MiB };
  const other = await startAgent(seeder.url, settings);
  const { disk } = await other.service.attachDisk({ image: "debian" });
  const fetchOf = async (wanted: string) =>
    (await other.service.listFetches({})).fetches.find((each) => each.digest === wanted);
  await expect.poll(async () => (await fetchOf(digest))?.activity, pollOptions).toContain("slowly, while a VM boots");
  expect(Number((await fetchOf(digest))?.doneBytes)).toBeLessThan(image.length);
  using client = await NbdClient.open(disk?.socketPath as string, disk?.name as string);
  for (const [offset, length] of bootReads) {
    expect((await client.read(offset, length)).data.equals(image.subarray(offset, offset + length))).toBe(true);
  }
  // No read has waited, and nothing came from a boot image.
  const stats = async () => (await other.service.listDisks({})).disks[0];
  await expect.poll(stats, pollOptions).toMatchObject({ fileBytes: 8n * 4_096n, demandBytes: 0n, bootImageBytes: 0n });
  expect((await other.service.listBootImages({})).bootImages).toEqual([]);
  await other.service.detachDisk({ name: disk?.name ?? "", force: true });
  const { path } = await fetchToEnd(other, "debian");
  expect(sha256(await readFile(path))).toBe(digest);
});

test("a damaged boot image is not used, counted, and fetched again; no read is wrong", async () => {
  const seeder = await startSeeder();
  const image = randomBytes(8 * MiB);
  const digest = await publish(seeder, "debian", image);
  const node = await startAgent(seeder.url);
  await fetchToEnd(node, "debian");
  await recordBoot(node, "debian");
  await node.service.detachDisk({ name: (await node.service.listDisks({})).disks[0]?.name ?? "", force: true });

  const other = await startAgent(seeder.url, { "boot.prefetch": "off", "scrub.bytesPerSecond": 0 });
  await fetchToEnd(other, "debian");
  const { fetch: fetched, path } = await fetchToEnd(other, `${digest}.boot`);
  await using file = await open(path, "r+");
  await file.write(Buffer.from("damage"), 0, 6, Number(fetched.sizeBytes) - 10);
  const read = await readThrough(other, "debian", boot);
  expect(
    read.every((bytes, at) => bytes.equals(image.subarray(boot[at]?.[0], (boot[at]?.[0] ?? 0) + bytes.length))),
  ).toBe(true);
  await expect.poll(() => metric(other, "bootswarm_agent_boot_bad_images_total"), pollOptions).toBe(1);
  // It was right again when it was loaded anew.
  await expect.poll(() => metric(other, "bootswarm_agent_boot_images_in_memory"), pollOptions).toBe(1);
  expect(sha256(await readFile(path))).toBe(fetched.digest);
});

test("the boot images of like images are in memory and on disk once, as far as they are alike", async () => {
  const seeder = await startSeeder();
  const common = randomBytes(6 * MiB);
  const images = ["plain", "ssh", "nginx"].map((name) => ({
    name,
    // The same files at other places, as in images of one distribution.
    bytes: Buffer.concat([randomBytes((1 + name.length) * 4_096), common, randomBytes(MiB)]),
  }));
  const node = await startAgent(seeder.url);
  const sizes: number[] = [];
  for (const { name, bytes } of images) {
    await publish(seeder, name, bytes);
    await fetchToEnd(node, name);
    await recordBoot(node, name, allOf(bytes));
    const { image: bootImage } = await seeder.catalog.getImage({ image: `${sha256(bytes)}.boot` });
    sizes.push(Number(bootImage?.sizeBytes));
    const here = async () => (await node.service.listBootImages({})).bootImages.length;
    await expect.poll(here, pollOptions).toBe(sizes.length);
  }
  expect(sizes[0]).toBeGreaterThan(7 * MiB);
  expect(Math.max(...sizes.slice(1))).toBeLessThan(1.5 * MiB);
  const other = await startAgent(seeder.url, { "boot.record": "off" });
  await expect.poll(async () => (await other.service.listBootImages({})).bootImages.length, pollOptions).toBe(3);
  for (const { name, bytes } of images) {
    expect(Buffer.concat(await readThrough(other, name, allOf(bytes))).equals(bytes)).toBe(true);
  }
  const memory = async () => {
    const { memoryBytes, memorySharedBytes } = await other.service.listBootImages({});
    return [Math.round(Number(memoryBytes) / MiB), Math.round(Number(memorySharedBytes) / MiB)];
  };
  await expect.poll(memory, pollOptions).toEqual([9, 12]);
});

test("a boot is recorded by one node, through a disk, and only once", async () => {
  const seeder = await startSeeder();
  const digest = await publish(seeder, "debian", randomBytes(4 * MiB));
  const [one, two] = [
    await startAgent(seeder.url, { name: "one" }),
    await startAgent(seeder.url, { "boot.record": "off" }),
  ];
  const record = async (node: RunningAgent) => {
    for await (const { recording } of node.service.recordBoot({ image: "debian" })) return recording;
    return undefined;
  };
  await fetchToEnd(two, "debian");
  await expect(record(two)).rejects.toThrow(/no disk of "debian" is attached here/);
  await fetchToEnd(one, "debian");
  await one.service.attachDisk({ image: "debian" });
  await two.service.attachDisk({ image: "debian" });
  await expect
    .poll(() => record(two).catch((error: Error) => error.message), pollOptions)
    .toContain("node one is recording");
  await one.service.stopRecording({ image: "debian" });
  const last = async () => (await one.service.listBootImages({})).recordings[0];
  await expect.poll(last, pollOptions).toMatchObject({
    state: BootRecordingState.FAILED,
    error: expect.stringContaining("nothing was read of the image while it was recorded"),
  });
  await expect(one.service.stopRecording({ image: "debian" })).rejects.toThrow(
    /no boot of this image is being recorded/,
  );
  expect(await record(two)).toMatchObject({ state: BootRecordingState.RECORDING, digest });
  const { disks } = await two.service.listDisks({});
  await two.service.detachDisk({ name: disks[0]?.name ?? "", force: true });
  const ended = async () => (await two.service.listBootImages({})).recordings[0]?.error;
  await expect.poll(ended, pollOptions).toContain("the disk was detached before the guest was up");
});

test("a node fetches ahead of need the boot images that it is told to, and loads those that it has memory for", async () => {
  const seeder = await startSeeder();
  const image = randomBytes(8 * MiB);
  const digest = await publish(seeder, "debian", image);
  const node = await startAgent(seeder.url);
  await fetchToEnd(node, "debian");
  await recordBoot(node, "debian");

  const settings = { "boot.prefetch": "used", "boot.memoryBytes": 100_000 };
  const [used, never] = [
    await startAgent(seeder.url, settings),
    await startAgent(seeder.url, { "boot.prefetch": "off" }),
  ];
  const bootImages = async (agent: RunningAgent) => (await agent.service.listBootImages({})).bootImages;
  await fetchToEnd(never, "debian");
  // One that knows the catalog, and has none of its images.
  expect(await bootImages(used)).toEqual([]);
  await fetchToEnd(used, "debian");
  await expect.poll(() => bootImages(used), pollOptions).toMatchObject([{ bootOf: digest }]);
  expect(await bootImages(never)).toEqual([]);

  const read = await readThrough(used, "debian", boot);
  expect(
    read.every((bytes, at) => bytes.equals(image.subarray(boot[at]?.[0], (boot[at]?.[0] ?? 0) + bytes.length))),
  ).toBe(true);
  await expect.poll(() => metric(used, "bootswarm_agent_boot_bad_images_total"), pollOptions).toBe(1);
  expect(await metric(used, "bootswarm_agent_boot_images_in_memory")).toBe(0);
  await readThrough(never, "debian", boot);
  // It is brought for the disk that is attached.
  await expect.poll(() => metric(never, "bootswarm_agent_boot_images_in_memory"), pollOptions).toBe(1);
});
