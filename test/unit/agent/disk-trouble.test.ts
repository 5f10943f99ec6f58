import { randomBytes } from "node:crypto";
import { readFile, truncate } from "node:fs/promises";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { describe, expect, test } from "vitest";
import { FetchState } from "../../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import { InventoryService } from "../../../proto/gen/bootswarm/seeder/v1/inventory_pb.js";
import { NbdClient } from "../../fixtures/nbd-client.ts";
import { TroubledDisk } from "../../fixtures/troubled-disk.ts";
import { startSeeder } from "../seeder/running-seeder.ts";
import { fetchToEnd, fetchUntil, type RunningAgent, startAgent } from "./running-agent.ts";
import { sendFrom, sha256, startScriptedSeeder } from "./scripted-seeder.ts";

const MiB = 1024 * 1024;
const bytes = randomBytes(4 * MiB);
const digest = sha256(bytes);
const isPaused = ({ state }: { state: FetchState }) => state === FetchState.PAUSED;

async function publish(url: string, name: string, content: Buffer): Promise<void> {
  const response = await fetch(`${url}/images/${name}`, { method: "PUT", body: new Uint8Array(content) });
  expect(response.status).toBeLessThan(300);
}

async function pausedFetches({ url }: RunningAgent): Promise<string[]> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return text.split("\n").filter((line) => /^bootswarm_agent_fetches_paused\{.*\} [1-9]/.test(line));
}

/** Lets so many bytes of an image be written, and then nothing more. */
function failAfter(disk: TroubledDisk, bytesMax: number, code: string): void {
  let written = 0;
  disk.beforeWrite = async (path, length) => {
    if (path.endsWith("/data")) written += length;
    if (written > bytesMax) disk.writeFault = code;
  };
}

/** A seeder and an agent whose disk fails with `code` once some of the image has arrived. */
async function pausedBy(code: string, settings: Record<string, unknown> = {}) {
  const seeder = await startSeeder();
  await publish(seeder.url, "image", bytes);
  const disk = new TroubledDisk();
  const agent = await startAgent(seeder.url, { "fetch.fallback": "off", ...settings }, undefined, disk);
  failAfter(disk, MiB, code);
  const paused = await fetchUntil(agent, "image", isPaused);
  disk.beforeWrite = async () => {};
  return { seeder, disk, agent, paused };
}

describe("a disk that takes no more", () => {
  test.each([
    ["ENOSPC", "full", /is full.*free space/, /waiting for room on the disk/],
    ["EDQUOT", "full", /is full.*free space/, /waiting for room on the disk/],
    ["EROFS", "read-only", /read-only.*remount/, /waiting until the disk can be written/],
    ["EIO", "failing", /fails.*kernel's log/, /waiting until the disk works/],
  ])(
    "with %s pauses the fetch, which says so and goes on by itself from what is here",
    async (code, fault, error, activity) => {
      const { disk, agent, paused } = await pausedBy(code);
      expect(paused.error).toMatch(error);
      expect(paused.doneBytes).toBeGreaterThan(0n);
      await expect.poll(async () => (await agent.service.listFetches({})).fetches[0]?.activity).toMatch(activity);
      expect(await pausedFetches(agent)).toEqual([`bootswarm_agent_fetches_paused{fault="${fault}"} 1`]);
      disk.writeFault = undefined;
      const { fetch, path } = await fetchToEnd(agent, digest);
      expect(fetch).toMatchObject({ state: FetchState.READY, error: "" });
      expect((await readFile(path)).equals(bytes)).toBe(true);
      expect(Number(fetch.swarmBytes)).toBeLessThan(1.9 * bytes.length);
      expect(await pausedFetches(agent)).toEqual([]);
    },
  );

  test("gives the fetch's place to others, and tells the inventory", async () => {
    const { seeder, disk, agent } = await pausedBy("EIO", { "fetch.concurrency": 1 });
    const inventory = createClient(
      InventoryService,
      createConnectTransport({ baseUrl: seeder.url, httpVersion: "1.1" }),
    );
    const reported = async () => (await inventory.listHoldings({ image: digest })).nodes[0]?.fetch;
    await expect.poll(async () => (await reported())?.state).toBe(FetchState.PAUSED);
    expect((await reported())?.error).toMatch(/fails/);
    expect((await agent.service.getStatus({})).fetchesActive).toBe(0);
    disk.writeFault = undefined;
    await publish(seeder.url, "other", randomBytes(MiB));
    expect((await fetchToEnd(agent, "other")).fetch.state).toBe(FetchState.READY);
    expect((await fetchToEnd(agent, digest)).fetch.state).toBe(FetchState.READY);
  });

  test("does not keep a paused fetch from being cancelled", async () => {
    const { agent } = await pausedBy("ENOSPC");
    expect((await agent.service.cancelFetch({ image: digest })).fetch).toMatchObject({
      state: FetchState.CANCELLED,
      error: "",
    });
  });

  test("keeps the fetch waiting after a restart, until there is room", async () => {
    const { disk, agent } = await pausedBy("ENOSPC");
    disk.freeBytes = 1024;
    disk.writeFault = undefined;
    const again = await agent.restart();
    const { fetches } = await again.service.listFetches({});
    expect(fetches).toMatchObject([{ digest, state: FetchState.QUEUED }]);
    expect(fetches[0]?.activity).toMatch(/waiting for room on the disk/);
    disk.freeBytes = undefined;
    const { fetch, path } = await fetchToEnd(again, digest);
    expect(fetch.state).toBe(FetchState.READY);
    expect((await readFile(path)).equals(bytes)).toBe(true);
  });

  test("is waited for by a download over HTTP too, which goes on from where it was", async () => {
    const disk = new TroubledDisk();
    let offsetAgain = 0;
    const seeder = await startScriptedSeeder([
      {
        name: "image",
        bytes,
        serve: ({ number, offset, response }) => {
          if (number > 1) offsetAgain = offset;
          sendFrom(response, bytes, offset);
        },
      },
    ]);
    const agent = await startAgent(seeder.url, {}, undefined, disk);
    failAfter(disk, 2 * MiB, "ENOSPC");
    await fetchUntil(agent, "image", isPaused);
    disk.beforeWrite = async () => {};
    disk.writeFault = undefined;
    const { fetch, path } = await fetchToEnd(agent, "image");
    expect(fetch.state).toBe(FetchState.READY);
    expect(offsetAgain).toBeGreaterThan(MiB);
    expect((await readFile(path)).equals(bytes)).toBe(true);
  });

  test("that has lost some of an image under a VM is given it again, and the VM waits for it", async () => {
    const seeder = await startSeeder();
    await publish(seeder.url, "image", bytes);
    const agent = await startAgent(seeder.url);
    const { path } = await fetchToEnd(agent, "image");
    const { disk } = await agent.service.attachDisk({ image: digest, name: "vm1" });
    await truncate(path, 3 * MiB);
    using client = await NbdClient.open(disk?.socketPath ?? "");
    const { data } = await client.read(2 * MiB, 2 * MiB);
    expect(data.equals(bytes.subarray(2 * MiB))).toBe(true);
    const { disks } = await agent.service.listDisks({});
    expect(disks).toMatchObject([{ name: "vm1", readErrors: 0n, error: "" }]);
  });

  test("when it cannot read back what it was given, is given it again", async () => {
    const seeder = await startSeeder();
    await publish(seeder.url, "image", bytes);
    const disk = new TroubledDisk();
    const agent = await startAgent(seeder.url, { "fetch.fallback": "off" }, undefined, disk);
    disk.isBad = (path, position, length) =>
      path.endsWith("/data") && position <= 3 * MiB && position + length > 3 * MiB;
    disk.readFault = "EIO";
    const pausing = fetchUntil(agent, "image", isPaused);
    await pausing;
    // As a disk does that puts a good sector in a bad one's place when it is written to.
    disk.beforeWrite = async (path) => {
      if (path.endsWith("/data")) disk.readFault = undefined;
    };
    const { fetch, path } = await fetchToEnd(agent, digest);
    expect(fetch.state).toBe(FetchState.READY);
    expect((await readFile(path)).equals(bytes)).toBe(true);
    expect(Number(fetch.swarmBytes)).toBeLessThan(1.5 * bytes.length);
  });
});
