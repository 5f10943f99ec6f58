/** The main job: publish an image, and every node has it. Processes of their own, real disk images, loopback. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { FetchState } from "../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import { ImageFormat } from "../../proto/gen/bootswarm/image/v1/image_pb.js";
import { NodeState } from "../../proto/gen/bootswarm/seeder/v1/inventory_pb.js";
import { ensure, metric, publish, startAgent, startSeeder, type TestAgent } from "../fixtures/daemons.ts";
import { bytesNotZero, makeQcow2Disk, makeRandomFile, makeRawDisk, sha256Of } from "../fixtures/disks.ts";
import { eventually } from "../fixtures/processes.ts";
import { temporaryDirectory } from "../fixtures/temporary-directory.ts";
import { freePort } from "../fixtures/torrents.ts";

test("four nodes have a raw and a qcow2 disk, byte for byte, and the inventory says so", async () => {
  const directory = await temporaryDirectory();
  const raw = await makeRawDisk(directory, "disk", 64);
  const qcow2 = await makeQcow2Disk(raw);
  const seeder = await startSeeder(join(directory, "seeder"));
  const published = [await publish(seeder, raw, "debian-raw"), await publish(seeder, qcow2, "debian-qcow2")];
  expect(published.map((image) => image.format)).toEqual([ImageFormat.RAW, ImageFormat.QCOW2]);
  expect(published[1]?.virtualSizeBytes).toBe(64n * 1024n * 1024n);
  const agents = await Promise.all(
    [1, 2, 3, 4].map((n) => startAgent(seeder.url, join(directory, `node-${n}`), {}, `node-${n}`)),
  );
  for (const [index, image] of published.entries()) {
    const original = [raw, qcow2][index] as string;
    const wanted = await sha256Of(original);
    const sentBytesMin = await bytesNotZero(original);
    expect(image.digest).toBe(wanted);
    const fetched = await Promise.all(agents.map((agent) => ensure(agent, image.names[0] as string)));
    for (const { path, fetch } of fetched) {
      expect(await sha256Of(path)).toBe(wanted);
      expect(Number(fetch.swarmBytes)).toBeGreaterThanOrEqual(sentBytesMin);
      expect(fetch.httpBytes).toBe(0n);
    }
    const holders = await eventually(async () => {
      const { nodes } = await seeder.inventory.listHoldings({ image: image.digest });
      return nodes.filter((node) => node.holding !== undefined).length === agents.length ? nodes : undefined;
    }, "all holdings are reported");
    expect(holders.map((node) => node.nodeName).sort()).toEqual(["node-1", "node-2", "node-3", "node-4"]);
  }
});

test("an image without a magnet link arrives by HTTP, and joins the swarm when it has one", async () => {
  const directory = await temporaryDirectory();
  const file = await makeRandomFile(directory, "image", 24);
  const seeder = await startSeeder(join(directory, "seeder"));
  const image = await publish(seeder, file, "no-magnet", "?torrent=false");
  expect(image.magnetUri).toBe("");
  const agent = await startAgent(seeder.url, join(directory, "node"));
  const { path, fetch } = await ensure(agent, "no-magnet");
  expect(await sha256Of(path)).toBe(image.digest);
  expect(fetch).toMatchObject({ httpBytes: image.sizeBytes, swarmBytes: 0n });
  await seeder.catalog.createTorrent({ image: "no-magnet" });
  await eventually(async () => {
    const { images } = await agent.service.listImages({});
    return images[0]?.seeding || undefined;
  }, "the node seeds the image");
});

test("eight images asked of one node: never more than three are active, and all arrive", async () => {
  const directory = await temporaryDirectory();
  const seeder = await startSeeder(join(directory, "seeder"), { "swarm.uploadBytesPerSecondMax": 16 * 1024 * 1024 });
  const names = Array.from({ length: 8 }, (_, index) => `image-${index}`);
  for (const name of names) await publish(seeder, await makeRandomFile(directory, name, 8), name);
  const agent = await startAgent(seeder.url, join(directory, "node"));
  const stop = new AbortController();
  const activeCounts = watchActive(agent, stop.signal);
  await Promise.all(names.map((name) => ensure(agent, name)));
  stop.abort();
  expect(Math.max(...(await activeCounts))).toBe(3);
  expect((await agent.service.listImages({})).images).toHaveLength(8);
});

/** How many fetches were active, each time the list of fetches changed. */
async function watchActive(agent: TestAgent, signal: AbortSignal): Promise<number[]> {
  const counts: number[] = [];
  const isActive = (state: FetchState) => state === FetchState.ACTIVE || state === FetchState.VERIFYING;
  try {
    for await (const { fetches } of agent.service.watchFetches({}, { signal })) {
      counts.push(fetches.filter((fetch) => isActive(fetch.state)).length);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  return counts;
}

test("a restarted seeder hears of its nodes again and knows the nodes and what they have", async () => {
  const directory = await temporaryDirectory();
  const data = join(directory, "seeder");
  const ports = {
    listen: `127.0.0.1:${await freePort()}`,
    "swarm.port": await freePort(),
    "dht.port": await freePort(),
  };
  const seeder = await startSeeder(data, ports);
  const image = await publish(seeder, await makeRandomFile(directory, "image", 8), "image");
  const agents = await Promise.all([1, 2].map((n) => startAgent(seeder.url, join(directory, `n${n}`), {}, `n${n}`)));
  for (const agent of agents) await ensure(agent, "image");
  await seeder.process.kill("SIGKILL");
  const again = await startSeeder(data, ports);
  expect((await again.catalog.getImage({ image: "image" })).image?.digest).toBe(image.digest);
  const reports = async (kind: string) => await metric(again, `bootswarm_seeder_reports_total{kind="${kind}"}`);
  await eventually(
    async () => ((await reports("full")) + (await reports("delta")) >= 4 ? true : undefined),
    "both nodes report, and those of which not all is known in full",
  );
  const { nodes } = await again.inventory.listHoldings({ image: "image" });
  expect(nodes.filter((node) => node.holding && node.nodeState === NodeState.UP)).toHaveLength(2);
  // And it serves again: a new node gets the image.
  const late = await startAgent(again.url, join(directory, "late"), {}, "late");
  expect(await sha256Of((await ensure(late, "image")).path)).toBe(image.digest);
});

test("a node that falls silent is lost after three intervals, and its fetches are not counted", async () => {
  const directory = await temporaryDirectory();
  const seeder = await startSeeder(join(directory, "seeder"), { "swarm.uploadBytesPerSecondMax": 256 * 1024 });
  const image = await publish(seeder, await makeRandomFile(directory, "image", 16), "image");
  const agent = await startAgent(seeder.url, join(directory, "node"), {}, "node");
  const fetching = ensure(agent, "image").catch(() => {});
  const nodeNow = async () => (await seeder.inventory.listNodes({})).nodes[0];
  await eventually(async () => ((await nodeNow())?.fetchesActive === 1 ? true : undefined), "the fetch is reported");
  await agent.process.kill("SIGKILL");
  await fetching;
  const lost = await eventually(async () => {
    const node = await nodeNow();
    return node?.state === NodeState.LOST ? node : undefined;
  }, "the node is lost");
  expect(lost.fetchesActive).toBe(0);
  const { nodes } = await seeder.inventory.listHoldings({ image: image.digest });
  expect(nodes.filter((node) => node.fetch !== undefined)).toEqual([]);
  expect(await readFile(join(directory, "node/node-id"), "utf8")).toContain(lost.node?.id);
});
