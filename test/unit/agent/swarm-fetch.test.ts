import { createHash, randomBytes } from "node:crypto";
import { access, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { FetchState } from "../../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import { type RunningSeeder, startSeeder } from "../seeder/running-seeder.ts";
import { fetchToEnd, fetchUntil, startAgent } from "./running-agent.ts";
import { sha256, startScriptedSeeder } from "./scripted-seeder.ts";

const MiB = 1024 * 1024;
const bytes = randomBytes(8 * MiB + 4_321);
const digest = sha256(bytes);
const infohashOfNobody = createHash("sha1").update("a torrent that nobody has").digest("hex");

async function publish({ url }: RunningSeeder, query = ""): Promise<void> {
  const response = await fetch(`${url}/images/image${query}`, { method: "PUT", body: bytes });
  expect(response.status).toBeLessThan(300);
}

/** Metrics of a daemon by their lines' beginnings. */
async function metric(url: string, name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const line = text.split("\n").find((each) => each.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1));
}

describe("an image with a magnet link", () => {
  test("comes from peers alone, byte for byte, and is seeded from then on, after a restart too", async () => {
    const seeder = await startSeeder();
    await publish(seeder);
    const first = await startAgent(seeder.url);
    const { fetch, path } = await fetchToEnd(first, "image");
    expect(fetch).toMatchObject({ state: FetchState.READY, digest, httpBytes: 0n });
    expect(Number(fetch.swarmBytes)).toBeGreaterThanOrEqual(bytes.length);
    expect((await readFile(path)).equals(bytes)).toBe(true);
    expect((await first.service.listImages({})).images).toMatchObject([{ digest, seeding: true }]);
    const again = await first.restart();
    await expect.poll(async () => (await again.service.getImage({ image: digest })).image?.seeding).toBe(true);
    expect(await metric(again.url, 'bootswarm_agent_received_bytes_total{source="swarm"}')).toBe(0);
  });

  test("takes no more of the disk than its data: its holes stay holes", async () => {
    const seeder = await startSeeder();
    const sparse = Buffer.alloc(16 * MiB);
    bytes.copy(sparse, 3 * MiB, 0, MiB);
    const response = await fetch(`${seeder.url}/images/sparse`, { method: "PUT", body: sparse });
    expect(response.status).toBeLessThan(300);
    const agent = await startAgent(seeder.url, { "fetch.fallback": "off" });
    const { path } = await fetchToEnd(agent, "sparse");
    expect((await readFile(path)).equals(sparse)).toBe(true);
    const { images } = await agent.service.listImages({});
    expect(images[0]?.allocatedBytes).toBe(BigInt(MiB));
  });

  test("goes on between nodes when the seeder is gone", async () => {
    const seeder = await startSeeder();
    await publish(seeder);
    const one = await startAgent(seeder.url);
    await fetchToEnd(one, "image");
    const settings = { "swarm.downloadBytesPerSecondMax": 4 * MiB, "fetch.fallback": "off" };
    const other = await startAgent(seeder.url, settings);
    await fetchUntil(other, "image", (fetch) => fetch.doneBytes > 0n && fetch.peers >= 2);
    await seeder.seeder.close();
    const { fetch, path } = await fetchToEnd(other, digest);
    expect(fetch.state).toBe(FetchState.READY);
    expect((await readFile(path)).equals(bytes)).toBe(true);
    expect(await metric(one.url, "bootswarm_agent_sent_bytes_total")).toBeGreaterThan(0);
  });

  test("is gone on with after a restart, from the pieces that were there", async () => {
    const seeder = await startSeeder();
    await publish(seeder);
    const slow = await startAgent(seeder.url, { "swarm.downloadBytesPerSecondMax": 2 * MiB });
    await fetchUntil(slow, "image", (fetch) => fetch.doneBytes >= 2n * BigInt(MiB));
    const agent = await slow.restart({ "swarm.downloadBytesPerSecondMax": 0 });
    const { fetch, path } = await fetchToEnd(agent, digest);
    expect(fetch.state).toBe(FetchState.READY);
    expect(Number(fetch.swarmBytes)).toBeLessThan(bytes.length - 1.5 * MiB);
    expect((await readFile(path)).equals(bytes)).toBe(true);
  });

  test("gets HTTP as one more source when the swarm is next to nothing", async () => {
    const seeder = await startSeeder({ "swarm.uploadBytesPerSecondMax": 50_000 });
    await publish(seeder);
    const agent = await startAgent(seeder.url, { "fetch.stallMs": 300 });
    const { fetch, path } = await fetchToEnd(agent, "image");
    expect(fetch.state).toBe(FetchState.READY);
    expect(Number(fetch.httpBytes)).toBeGreaterThan(0);
    expect((await readFile(path)).equals(bytes)).toBe(true);
  });

  test("comes by HTTP alone when nobody has the torrent, and is kept though it cannot be seeded", async () => {
    const said = { infohash: infohashOfNobody, magnetUri: `magnet:?xt=urn:btih:${infohashOfNobody}` };
    const seeder = await startScriptedSeeder([{ name: "image", bytes, said }]);
    const agent = await startAgent(seeder.url, { "fetch.swarmPatienceMs": 100 });
    const { fetch } = await fetchToEnd(agent, "image");
    expect(fetch).toMatchObject({ state: FetchState.READY, swarmBytes: 0n, httpBytes: BigInt(bytes.length) });
    expect((await agent.service.listImages({})).images).toMatchObject([{ digest, seeding: false }]);
  });

  test("never comes by HTTP when that is switched off: the fetch fails instead, and says so", async () => {
    const said = { infohash: infohashOfNobody, magnetUri: `magnet:?xt=urn:btih:${infohashOfNobody}` };
    const seeder = await startScriptedSeeder([{ name: "image", bytes, said }]);
    const settings = { "fetch.fallback": "off", "fetch.swarmPatienceMs": 0, "fetch.giveUpMs": 1_000 };
    const { fetch } = await fetchToEnd(await startAgent(seeder.url, settings), "image");
    expect(fetch.state).toBe(FetchState.FAILED);
    expect(fetch.error).toContain("HTTP is switched off (fetch.fallback)");
    expect(seeder.offsets).toEqual([]);
  });

  test("whose torrent is of another image fails, and says whose fault that is", async () => {
    const seeder = await startSeeder();
    await publish(seeder);
    const { image } = await seeder.catalog.getImage({ image: "image" });
    const other = randomBytes(bytes.length);
    const said = { infohash: image!.infohash, magnetUri: image!.magnetUri };
    const liar = await startScriptedSeeder([{ name: "other", bytes: other, said }]);
    const peer = { "dht.bootstrap": `["127.0.0.1:${seeder.seeder.dhtPort}"]`, "fetch.fallback": "off" };
    const agent = await startAgent(liar.url, peer);
    const { fetch } = await fetchToEnd(agent, "other");
    expect(fetch.state).toBe(FetchState.FAILED);
    for (const part of [sha256(other), digest, "the torrent's content is not the image"])
      expect(fetch.error).toContain(part);
    expect((await agent.service.listImages({})).images).toEqual([]);
    expect((await agent.service.getStatus({})).peers).toBe(0);
  });
});

describe("a node that came by HTTP", () => {
  test("joins the swarm when the magnet link appears", async () => {
    const seeder = await startSeeder();
    await publish(seeder, "?torrent=false");
    const agent = await startAgent(seeder.url);
    expect((await fetchToEnd(agent, "image")).fetch).toMatchObject({ httpBytes: BigInt(bytes.length), swarmBytes: 0n });
    const seeding = async () => (await agent.service.getImage({ image: "image" })).image?.seeding;
    expect(await seeding()).toBe(false);
    await seeder.catalog.createTorrent({ image: "image" });
    await expect.poll(seeding, { timeout: 10_000 }).toBe(true);
    await access(join(agent.stateDirectory, "images", digest, "metainfo"));
    const { path } = (await agent.service.getImage({ image: "image" })).image!;
    expect((await readFile(path)).equals(bytes)).toBe(true);
  });

  test("changes over to peers in the midst of a download, keeping what it has", async () => {
    const seeder = await startSeeder();
    await publish(seeder);
    const { image } = await seeder.catalog.getImage({ image: "image" });
    const half = 5 * MiB;
    const said = { infohash: image!.infohash, magnetUri: `magnet:?xt=urn:btih:${image!.infohash}` };
    // The HTTP side gives half and no more; peers are found only once the DHT is known, which is after that.
    const origin = await startScriptedSeeder([
      {
        name: "image",
        bytes,
        said,
        serve: ({ number, response }) => {
          if (number > 1) return void response.writeHead(503).end();
          response.writeHead(200, { etag: `"${digest}"`, "content-length": bytes.length });
          response.write(bytes.subarray(0, half));
        },
      },
    ]);
    const first = await startAgent(origin.url, { "fetch.swarmPatienceMs": 0 });
    await fetchUntil(first, "image", (fetch) => fetch.doneBytes === BigInt(half));
    const agent = await first.restart({ "dht.bootstrap": `["127.0.0.1:${seeder.seeder.dhtPort}"]` });
    const { fetch, path } = await fetchToEnd(agent, "image");
    expect(fetch.state).toBe(FetchState.READY);
    expect(Number(fetch.swarmBytes)).toBeLessThan(bytes.length - half + MiB);
    expect((await readFile(path)).equals(bytes)).toBe(true);
  });
});

describe("the inventory", () => {
  test("knows what a node has, what is on its way, and what has gone", async () => {
    const seeder = await startSeeder();
    await publish(seeder);
    const agent = await startAgent(seeder.url, { name: "node-a", "swarm.downloadBytesPerSecondMax": 4 * MiB });
    const holdings = async () => (await seeder.inventory.listHoldings({ image: "image" })).nodes;
    const end = fetchToEnd(agent, "image");
    await expect.poll(async () => (await holdings())[0]?.fetch?.state).toBe(FetchState.ACTIVE);
    await end;
    await expect.poll(async () => (await holdings())[0]?.holding?.digest).toBe(digest);
    await agent.service.pinImage({ image: "image" });
    await expect.poll(async () => (await holdings())[0]?.holding?.pinned).toBe(true);
    await agent.service.unpinImage({ image: "image" });
    await agent.service.removeImage({ image: "image" });
    await expect.poll(holdings).toEqual([]);
  });

  test("is told everything again by itself after the seeder was restarted", async () => {
    const seeder = await startSeeder();
    await publish(seeder);
    const agent = await startAgent(seeder.url, { name: "node-a" });
    await fetchToEnd(agent, "image");
    const port = new URL(seeder.url).port;
    const again = await seeder.restart({ listen: `127.0.0.1:${port}` });
    const node = async () => (await again.inventory.listNodes({})).nodes[0];
    await expect.poll(async () => (await node())?.images, { timeout: 10_000 }).toBe(1);
    await expect.poll(async () => (await agent.service.getStatus({})).seederReachable, { timeout: 10_000 }).toBe(true);
  });
});

test("a damaged state directory does not keep an agent from starting", async () => {
  const seeder = await startSeeder();
  await publish(seeder);
  const first = await startAgent(seeder.url);
  const { path } = await fetchToEnd(first, "image");
  await first.close();
  await writeFile(path, "short");
  for (const name of ["node-id", "dht-nodes.json"]) await writeFile(join(first.stateDirectory, name), "\0{{{");
  const agent = await first.restart();
  expect((await agent.service.listImages({})).images).toEqual([]);
  expect((await fetchToEnd(agent, "image")).fetch.state).toBe(FetchState.READY);
});
