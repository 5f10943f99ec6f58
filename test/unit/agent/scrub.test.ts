import { randomBytes } from "node:crypto";
import { chmod, link, open, readdir, readFile, readlink, rm, stat, truncate } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { nextDue } from "../../../agent/scrub/due.ts";
import { type ScrubImageResponse, ScrubState } from "../../../proto/gen/bootswarm/agent/v1/agent_pb.js";
import { FetchState } from "../../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import { TroubledDisk } from "../../fixtures/troubled-disk.ts";
import { startSeeder } from "../seeder/running-seeder.ts";
import { fetchToEnd, type RunningAgent, startAgent } from "./running-agent.ts";
import { sha256, startScriptedSeeder } from "./scripted-seeder.ts";

const MiB = 1024 * 1024;
const bytes = randomBytes(4 * MiB);
const digest = sha256(bytes);
const off = { "scrub.bytesPerSecond": 0 };

async function publish(url: string): Promise<void> {
  const response = await fetch(`${url}/images/image`, { method: "PUT", body: bytes });
  expect(response.status).toBeLessThan(300);
}

async function flipBit(path: string, offset: number): Promise<void> {
  await using file = await open(path, "r+");
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, offset);
  await file.write(Buffer.from([buffer[0]! ^ 4]), 0, 1, offset);
}

/** Files of a directory that this process has open, images' own that is. */
async function openFilesOf(directory: string): Promise<string[]> {
  const files = await Promise.all(
    (await readdir("/proc/self/fd")).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => "")),
  );
  return files.filter((file) => file.startsWith(directory) && file.includes("/data"));
}

async function scrub({ service }: RunningAgent): Promise<ScrubImageResponse> {
  let last: ScrubImageResponse | undefined;
  for await (const answer of service.scrubImage({ image: digest })) last = answer;
  return last as ScrubImageResponse;
}

async function metric({ url }: RunningAgent, name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const line = text.split("\n").find((each) => each.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1));
}

/** An agent that has the image, with a seeder that has it too. */
async function cached(settings: Record<string, unknown> = off, disk?: TroubledDisk, seederSettings = {}) {
  const seeder = await startSeeder(seederSettings);
  await publish(seeder.url);
  const agent = await startAgent(seeder.url, { "fetch.fallback": "off", ...settings }, undefined, disk);
  const { path } = await fetchToEnd(agent, "image");
  return { seeder, agent, path };
}

describe("a scrub", () => {
  test("of a sound image says so, and when", async () => {
    const { agent } = await cached();
    expect(await scrub(agent)).toMatchObject({ state: ScrubState.SOUND, damage: "", doneBytes: BigInt(bytes.length) });
    const { image } = await agent.service.getImage({ image: digest });
    expect(image?.scrubbedAt).toBeDefined();
    expect(await metric(agent, "bootswarm_agent_scrub_bytes_total")).toBe(bytes.length);
  });

  test("finds a flipped bit, and has that piece alone fetched again and written in its place", async () => {
    const { agent, path } = await cached();
    await using reader = await open(path, "r");
    await flipBit(path, 3 * MiB);
    const before = await metric(agent, 'bootswarm_agent_received_bytes_total{source="swarm"}');
    const end = await scrub(agent);
    expect(end).toMatchObject({ state: ScrubState.SOUND, fetch: { state: FetchState.READY } });
    expect(end.damage).toMatch(/piece \d+ does not match its hash/);
    expect((await readFile(path)).equals(bytes)).toBe(true);
    // Whoever has the file open sees it repaired.
    expect((await reader.readFile()).equals(bytes)).toBe(true);
    const received = (await metric(agent, 'bootswarm_agent_received_bytes_total{source="swarm"}')) - before;
    expect(received).toBeLessThanOrEqual(128 * 1024);
    await expect
      .poll(async () => (await agent.service.getImage({ image: digest })).image)
      .toMatchObject({
        damage: "",
        path,
        seeding: true,
      });
    expect(await metric(agent, 'bootswarm_agent_scrub_damage_total{kind="hash"}')).toBe(1);
    expect(await metric(agent, 'bootswarm_agent_scrub_repairs_total{result="repaired"}')).toBe(1);
  });

  test("that nobody asked for does the same, slowly and by itself", async () => {
    const { agent, path } = await cached({ "scrub.bytesPerSecond": 100 * MiB, "scrub.intervalHours": 0.0001 });
    await flipBit(path, MiB);
    const repaired = () => metric(agent, 'bootswarm_agent_scrub_repairs_total{result="repaired"}');
    await expect.poll(repaired, { timeout: 20_000 }).toBe(1);
    expect((await readFile(path)).equals(bytes)).toBe(true);
  });

  test("of what the disk cannot read has it written anew", async () => {
    const disk = new TroubledDisk();
    const { agent, path } = await cached(off, disk);
    disk.isBad = (read, position, length) => read === path && position <= 2 * MiB && position + length > 2 * MiB;
    disk.readFault = "EIO";
    // As a disk does that puts a good sector in a bad one's place when it is written to.
    disk.beforeWrite = async (written) => {
      if (written === path) disk.readFault = undefined;
    };
    const end = await scrub(agent);
    expect([end.state, end.damage]).toEqual([ScrubState.SOUND, expect.stringMatching(/cannot be read: EIO/)]);
    expect((await readFile(path)).equals(bytes)).toBe(true);
  });

  test("finds that the file has gone, and has it fetched again", async () => {
    const { agent, path } = await cached();
    await rm(path);
    const end = await scrub(agent);
    expect([end.state, end.damage]).toEqual([ScrubState.SOUND, expect.stringMatching(/cannot be opened: ENOENT/)]);
    expect((await readFile(path)).equals(bytes)).toBe(true);
  });

  test("of an image that is removed meanwhile says that, and lets go of its file", async () => {
    const disk = new TroubledDisk();
    const { agent, path } = await cached(off, disk);
    const [reached, resume] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    disk.beforeRead = async (read, position) => {
      if (read !== path || position < 2 * MiB) return;
      reached.resolve();
      await resume.promise;
    };
    const end = scrub(agent);
    end.catch(() => {});
    await reached.promise;
    await agent.service.removeImage({ image: digest });
    resume.resolve();
    await expect(end).rejects.toThrow(/was removed while it was checked/);
  });

  test("that goes on slowly does not keep the room of an image that has gone", async () => {
    const { agent } = await cached({ "scrub.bytesPerSecond": 1024, "scrub.intervalHours": 0.0001 });
    await expect.poll(() => metric(agent, "bootswarm_agent_scrub_bytes_total")).toBeGreaterThan(0);
    await agent.service.removeImage({ image: digest });
    await expect.poll(() => openFilesOf(agent.stateDirectory)).toEqual([]);
  });

  test("of an image without a torrent has all of it fetched again", async () => {
    const seeder = await startScriptedSeeder([{ name: "image", bytes }]);
    const agent = await startAgent(seeder.url, off);
    const { path } = await fetchToEnd(agent, "image");
    await flipBit(path, MiB);
    const end = await scrub(agent);
    expect([end.state, end.damage]).toEqual([ScrubState.SOUND, "it does not match its sha256"]);
    expect((await readFile(path)).equals(bytes)).toBe(true);
  });
});

test("the path of a file that has gone, or was cut, is not told before it is repaired", async () => {
  const { agent, path } = await cached();
  for (const spoil of [rm, (each: string) => truncate(each, MiB)]) {
    await spoil(path);
    expect((await fetchToEnd(agent, "image")).path).toBe(path);
    expect((await readFile(path)).equals(bytes)).toBe(true);
  }
});

test("a hard link of an image that was repaired is read-only again", async () => {
  const { agent, path } = await cached();
  await link(path, `${agent.stateDirectory}/../linked`);
  await chmod(path, 0o444);
  await flipBit(path, MiB);
  await scrub(agent);
  expect((await stat(path)).mode & 0o777).toBe(0o444);
  expect((await readFile(path)).equals(bytes)).toBe(true);
});

describe("an image that cannot be repaired", () => {
  test("keeps its pin and its lease though none of its bytes are left, and can be unpinned and removed", async () => {
    const { seeder, agent, path } = await cached({ ...off, "fetch.giveUpMs": 1_000 });
    await agent.service.pinImage({ image: digest });
    const { lease } = await agent.service.acquireLease({ image: digest, ttlMs: 60_000n });
    await seeder.seeder.close();
    await truncate(path, 0);
    expect((await scrub(agent)).state).toBe(ScrubState.FAILED);
    const { images } = await agent.service.listImages({});
    expect(images).toMatchObject([{ pinned: true, holders: [`lease ${lease?.id}`] }]);
    await agent.service.unpinImage({ image: digest });
    await agent.service.releaseLease({ id: lease?.id ?? "" });
    await agent.service.removeImage({ image: digest });
    expect((await agent.service.listImages({})).images).toEqual([]);
  });

  test("stays held by a call that an agent's restart interrupted", async () => {
    const { seeder, agent, path } = await cached({ ...off, "fetch.giveUpMs": 1_000 });
    const hold = agent.service.holdImage({ image: digest })[Symbol.asyncIterator]();
    const first = (await hold.next()).value;
    hold.next().catch(() => {});
    await seeder.seeder.close();
    await flipBit(path, MiB);
    await scrub(agent);
    const { service } = await agent.restart();
    const takenUp = service.holdImage({ image: digest, leaseId: first?.lease?.id ?? "" })[Symbol.asyncIterator]();
    const again = (await takenUp.next()).value;
    expect([again?.lease?.id, again?.path]).toEqual([first?.lease?.id, ""]);
  });

  test("says what is wrong, is not told as ready, is no holding, and is repaired when somebody has it again", async () => {
    const { seeder, agent, path } = await cached({ ...off, "fetch.giveUpMs": 1_000 });
    await flipBit(path, MiB);
    await seeder.seeder.close();
    const end = await scrub(agent);
    expect([end.state, end.fetch?.state]).toEqual([ScrubState.FAILED, FetchState.FAILED]);
    const { image } = await agent.service.getImage({ image: digest });
    expect([image?.damage, image?.path]).toEqual([expect.stringMatching(/does not match its hash/), ""]);
    expect(await metric(agent, "bootswarm_agent_images_damaged")).toBe(1);
    const again = await agent.restart();
    expect((await again.service.listImages({})).images).toMatchObject([{ damage: image?.damage }]);
    const other = await startSeeder();
    await publish(other.url);
    const { fetch } = await fetchToEnd(await agentOn(again, other.url), digest);
    expect(fetch.state).toBe(FetchState.READY);
    expect((await readFile(path)).equals(bytes)).toBe(true);
  });

  test("is a fetch with the damage as its activity while it is tried", async () => {
    const { seeder, agent, path } = await cached();
    await flipBit(path, MiB);
    await seeder.seeder.close();
    for await (const { fetch } of agent.service.scrubImage({ image: digest })) {
      if (fetch?.activity.startsWith("repairing (piece")) break;
    }
    const { images } = await agent.service.listImages({});
    expect(images).toMatchObject([{ seeding: false, path: "" }]);
    await expect(agent.service.pinImage({ image: digest })).rejects.toThrow(/damaged.*being repaired/);
  });
});

/** The same node with another seeder. */
async function agentOn(agent: RunningAgent, seederUrl: string): Promise<RunningAgent> {
  const { stateDirectory } = agent;
  await agent.close();
  return startAgent(seederUrl, { ...off, stateDirectory, "fetch.fallback": "off" });
}

test("a piece that a peer asks for and the disk cannot read is fetched again", async () => {
  const disk = new TroubledDisk();
  const { seeder, agent, path } = await cached(off, disk, { "swarm.uploadBytesPerSecondMax": 4 * MiB });
  disk.isBad = (read) => read === path;
  disk.readFault = "EIO";
  disk.beforeWrite = async (written) => {
    if (written === path) disk.readFault = undefined;
  };
  const other = await startAgent(seeder.url, { ...off, "fetch.fallback": "off" });
  expect((await fetchToEnd(other, "image")).fetch.state).toBe(FetchState.READY);
  expect(await metric(agent, 'bootswarm_agent_scrub_damage_total{kind="read"}')).toBe(1);
  expect((await fetchToEnd(agent, digest)).fetch.state).toBe(FetchState.READY);
});

test("the image that was checked longest ago is next, and one whose check has begun goes on at once", () => {
  const hour = 3_600_000;
  const images = [
    { digest: "a", soundAtMs: 5 * hour, isBegun: false },
    { digest: "b", soundAtMs: 2 * hour, isBegun: false },
  ];
  expect(nextDue(images, 10 * hour, 6 * hour)).toEqual({ digest: "b", waitMs: 6 * hour });
  expect(nextDue(images, 10 * hour, 20 * hour)?.waitMs).toBe(0);
  expect(nextDue([...images, { digest: "c", soundAtMs: 6 * hour, isBegun: true }], 10 * hour, 6 * hour)).toEqual({
    digest: "c",
    waitMs: 0,
  });
  expect(nextDue([], hour, 0)).toBeUndefined();
});
