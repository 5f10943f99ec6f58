import { randomBytes } from "node:crypto";
import { open, readFile } from "node:fs/promises";
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

describe("an image that cannot be repaired", () => {
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
