/** Reads of disks whose images are on their way: an agent in this process, its disk worker, NBD, a seeder, real sockets. */
import { createHash, randomBytes } from "node:crypto";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { FetchState } from "../../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import { ImageFormat } from "../../../proto/gen/bootswarm/image/v1/image_pb.js";
import { infoBytesOf, magnetUriOf, torrentInfoFromInfoBytes } from "../../../swarm/metainfo.ts";
import { Swarm } from "../../../swarm/swarm.ts";
import { NbdClient } from "../../fixtures/nbd-client.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";
import { startSeeder } from "../seeder/running-seeder.ts";
import { fetchToEnd, type RunningAgent, startAgent } from "./running-agent.ts";
import { type DataRequest, sendRange, startScriptedSeeder } from "./scripted-seeder.ts";

const MiB = 1024 * 1024;
const errorIo = 5;
const pieceBytes = 64 * 1024;

async function attach({ service }: RunningAgent): Promise<NbdClient> {
  const { disk } = await service.attachDisk({ image: "image", name: "vm" });
  const client = await NbdClient.open(disk?.socketPath ?? "");
  onTestFinished(() => client[Symbol.dispose]());
  return client;
}

async function fetchOf({ service }: RunningAgent) {
  return (await service.listFetches({})).fetches[0];
}

async function metric({ url }: RunningAgent, line: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(
    text
      .split("\n")
      .find((each) => each.startsWith(`${line} `))
      ?.slice(line.length + 1),
  );
}

test("reads anywhere in an image are served while most of it has yet to come", async () => {
  const bytes = randomBytes(12 * MiB);
  bytes.fill(0, 6 * MiB, 7 * MiB);
  const seeder = await startSeeder({ "swarm.uploadBytesPerSecondMax": MiB / 4 });
  await fetch(`${seeder.url}/images/image`, { method: "PUT", body: bytes });
  const agent = await startAgent(seeder.url, { "fetch.fallback": "off" });
  const client = await attach(agent);
  for (const offset of [11 * MiB + 5, 0, 6 * MiB + 100, 9 * MiB, 11.5 * MiB, 3 * MiB]) {
    const { error, data } = await client.read(offset, 4_096);
    expect(error).toBe(0);
    expect(data.equals(bytes.subarray(offset, offset + 4_096))).toBe(true);
  }
  const progress = await fetchOf(agent);
  expect(progress?.state).toBe(FetchState.ACTIVE);
  expect(Number(progress?.doneBytes)).toBeLessThan(0.75 * bytes.length);
  expect(await metric(agent, 'bootswarm_agent_demanded_bytes_total{source="swarm"}')).toBeGreaterThan(0);
  await expect.poll(() => metric(agent, "bootswarm_agent_disk_demand_seconds_count")).toBeGreaterThan(0);
});

/** An image whose pieces one peer knows and nobody but the origin has. */
async function startWithoutSeeds(settings: Record<string, unknown>) {
  const bytes = randomBytes(64 * pieceBytes);
  const hashes = Array.from({ length: 64 }, (_, index) =>
    createHash("sha1")
      .update(bytes.subarray(index * pieceBytes, (index + 1) * pieceBytes))
      .digest(),
  );
  const pieceHashes = Buffer.concat(hashes);
  const info = torrentInfoFromInfoBytes(
    infoBytesOf({ name: "image", lengthBytes: bytes.length, pieceLengthBytes: pieceBytes, pieceHashes }),
  );
  const directory = await temporaryDirectory();
  const peer = await Swarm.open({ host: "127.0.0.1", port: 0, dhtPort: 0 });
  onTestFinished(() => peer.close());
  peer.add({ infohash: info.infohash, info, dataPath: join(directory, "data"), havePath: join(directory, "have") });
  const magnetUri = magnetUriOf(info, [{ host: "127.0.0.1", port: peer.peerPort }]);
  const said = { infohash: info.infohash, magnetUri, format: ImageFormat.RAW };
  const asked: number[] = [];
  const serve = (request: DataRequest) => {
    asked.push(request.offset);
    sendRange(request, bytes);
  };
  const seeder = await startScriptedSeeder([{ name: "image", bytes, said, serve }]);
  const patient = { "fetch.stallMs": 600_000, "fetch.swarmPatienceMs": 600_000 };
  return { bytes, asked, agent: await startAgent(seeder.url, { ...patient, ...settings }) };
}

test("the origin brings the pieces that reads have waited for, and nothing else", async () => {
  const { bytes, asked, agent } = await startWithoutSeeds({ "disk.httpPatienceMs": 100 });
  const client = await attach(agent);
  const { error, data } = await client.read(20 * pieceBytes - 100, 200);
  expect(error).toBe(0);
  expect(data.equals(bytes.subarray(20 * pieceBytes - 100, 20 * pieceBytes + 100))).toBe(true);
  expect(asked.sort((a, b) => a - b)).toEqual([19 * pieceBytes, 20 * pieceBytes]);
  expect(await metric(agent, 'bootswarm_agent_demanded_bytes_total{source="http"}')).toBe(2 * pieceBytes);
});

test("with HTTP switched off a read fails when its time is over, and the disk says why", async () => {
  const settings = { "disk.httpPatienceMs": 0, "disk.readTimeoutMs": 500, "fetch.fallback": "off" };
  const { asked, agent } = await startWithoutSeeds(settings);
  const client = await attach(agent);
  const { error } = await client.read(3 * pieceBytes, 4_096);
  expect(error).toBe(errorIo);
  expect(asked).toEqual([]);
  const disk = async () => (await agent.service.listDisks({})).disks[0];
  await expect.poll(async () => (await disk())?.error).not.toBe("");
  expect((await disk())?.error).toMatch(/within 500 ms; it needs piece 3 of 64; its fetch is active with 1 peer /);
  expect(await metric(agent, "bootswarm_agent_disk_read_timeouts_total")).toBe(1);
});

test("what a scrub finds wrong is not read any more until it is right again", async () => {
  const bytes = randomBytes(2 * MiB);
  const seeder = await startSeeder();
  await fetch(`${seeder.url}/images/image`, { method: "PUT", body: bytes });
  const agent = await startAgent(seeder.url, { "scrub.bytesPerSecond": 0 });
  const { path } = await fetchToEnd(agent, "image");
  const client = await attach(agent);
  const file = await open(path, "r+");
  await file.write(Buffer.from("rotten"), 0, 6, MiB);
  await file.close();
  for await (const _ of agent.service.scrubImage({ image: "image" }));
  const { error, data } = await client.read(MiB, 4_096);
  expect(error).toBe(0);
  expect(data.equals(bytes.subarray(MiB, MiB + 4_096))).toBe(true);
});
