import { createHash } from "node:crypto";
import { Code } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { holdingsChecksum as holdingsChecksumOf } from "../../../daemon/holdings-checksum.ts";
import { FetchState } from "../../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import { NodeState } from "../../../proto/gen/bootswarm/seeder/v1/inventory_pb.js";
import { startSeeder } from "./running-seeder.ts";

const digest = createHash("sha256").update("bytes").digest("hex");
const node = { id: "node-1", name: "web-1", version: "0.1.0", reportIntervalMs: 60_000, cacheBytes: 5n };
const holding = { digest, allocatedBytes: 5n, pinned: true };
const fetch = { digest: "b".repeat(64), state: FetchState.ACTIVE, doneBytes: 3n, sizeBytes: 9n };

test("a report is answered with the seeder's place in the swarm, and is seen by everyone who asks", async () => {
  const { inventory, seeder, catalog, url } = await startSeeder();
  const report = { node, epoch: 1n, sequence: 1n, full: true, holdings: [holding], fetches: [fetch] };
  const answer = await inventory.report(report);
  expect(answer).toMatchObject({
    fullReportWanted: false,
    bootstrap: [{ host: "", dhtPort: seeder.dhtPort, peerPort: seeder.peerPort }],
  });
  const { nodes } = await inventory.listNodes({});
  expect(nodes).toMatchObject([{ node, state: NodeState.UP, images: 1, fetchesActive: 1, fetchesQueued: 0 }]);
  expect(await inventory.getNode({ node: "web-1" })).toMatchObject({ holdings: [holding], fetches: [fetch] });

  await globalThis.fetch(`${url}/images/debian`, { method: "PUT", body: "bytes" });
  expect(await inventory.listHoldings({ image: "debian" })).toMatchObject({
    digest,
    nodes: [{ nodeId: "node-1", nodeName: "web-1", nodeState: NodeState.UP, holding }],
  });
  await catalog.retireImage({ image: "debian" });
  expect((await inventory.listHoldings({ image: digest })).nodes).toHaveLength(1);
  expect((await inventory.listHoldings({ image: fetch.digest })).nodes).toMatchObject([{ fetch }]);
});

test("a restarted seeder shows what it knew, asks for a full report, and believes it", async () => {
  const seeder = await startSeeder();
  await seeder.inventory.report({ node, epoch: 1n, sequence: 1n, full: true, holdings: [holding] });
  const again = await seeder.restart();
  expect((await again.inventory.getNode({ node: "node-1" })).holdings).toMatchObject([holding]);
  const delta = await again.inventory.report({ node, epoch: 1n, sequence: 2n });
  expect(delta.fullReportWanted).toBe(true);
  const full = await again.inventory.report({ node, epoch: 1n, sequence: 3n, full: true });
  expect(full.fullReportWanted).toBe(false);
  expect((await again.inventory.getNode({ node: "node-1" })).holdings).toEqual([]);
});

test("a node is told how long it counts as up, and one in doubt learns whether all that it holds is known", async () => {
  const seeder = await startSeeder();
  const holdingsChecksum = holdingsChecksumOf([{ digest, allocatedBytes: 5, pinned: true, lastUsedAtMs: undefined }]);
  const ask = { node, epoch: 1n, sequence: 2n, holdingsChecksum };
  expect(await seeder.inventory.report(ask)).toMatchObject({ fullReportWanted: true, leaseMs: 180_000 });
  const full = { ...ask, sequence: 3n, full: true, holdings: [holding] };
  expect((await seeder.inventory.report(full)).fullReportWanted).toBe(false);
  const again = await seeder.restart();
  expect((await again.inventory.report({ ...ask, sequence: 5n })).fullReportWanted).toBe(false);
});

test("lists come page by page", async () => {
  const { inventory } = await startSeeder();
  for (const name of ["c", "a", "b"]) {
    const zone = name === "b" ? "east" : "west";
    const told = { node: { ...node, id: `id-${name}`, name, zone }, holdings: name === "c" ? [] : [holding] };
    await inventory.report({ ...told, epoch: 1n, sequence: 1n, full: true, fetches: [{ ...fetch, digest }] });
  }
  const names = async (query: object) => {
    const { nodes, nextPageToken, up, lost } = await inventory.listNodes(query);
    return { names: nodes.map((status) => status.node?.name).join(""), nextPageToken, up, lost };
  };
  const first = await names({ pageSize: 2 });
  expect(first).toMatchObject({ names: "ab", up: 3, lost: 0 });
  expect(await names({ pageSize: 2, pageToken: first.nextPageToken })).toMatchObject({ names: "c", nextPageToken: "" });
  expect(await names({ zone: "west" })).toEqual({ names: "ac", nextPageToken: "", up: 2, lost: 0 });
  expect(await names({ state: NodeState.LOST })).toMatchObject({ names: "", nextPageToken: "" });
  const holders = await inventory.listHoldings({ image: digest, pageSize: 2 });
  expect(holders).toMatchObject({ nodes: [{ nodeName: "a" }, { nodeName: "b" }], holdingNodes: 2, fetchingNodes: 1 });
  const others = await inventory.listHoldings({ image: digest, pageSize: 2, pageToken: holders.nextPageToken });
  expect(others).toMatchObject({ nodes: [{ nodeName: "c" }], nextPageToken: "" });
  for (const pageToken of ["?", "W10", "x".repeat(9_999)]) {
    await expect(inventory.listNodes({ pageToken })).rejects.toMatchObject({ code: Code.InvalidArgument });
    await expect(inventory.listHoldings({ image: digest, pageToken })).rejects.toMatchObject({
      code: Code.InvalidArgument,
    });
  }
});

test("a node that has few peers of what it fetches is told where others are that have it or fetch it", async () => {
  const { inventory } = await startSeeder();
  const tell = (id: string, peerPort: number, what: object) =>
    inventory.report({ node: { ...node, id, peerPort }, epoch: 1n, sequence: 1n, full: true, ...what });
  await tell("holder", 7_001, { holdings: [{ digest: fetch.digest }] });
  await tell("fetcher", 7_002, { fetches: [fetch] });
  await tell("elsewhere", 7_003, { holdings: [holding] });
  await tell("hidden", 0, { holdings: [{ digest: fetch.digest }] });
  const { imagePeers } = await tell("asker", 7_004, { fetches: [fetch] });
  expect(imagePeers).toMatchObject([{ digest: fetch.digest }]);
  const ports = imagePeers[0]!.peers.map(({ port }) => port).toSorted();
  expect([ports, imagePeers[0]?.peers[0]?.host]).toEqual([[7_001, 7_002], "127.0.0.1"]);
  expect((await tell("content", 7_005, { fetches: [{ ...fetch, peers: 8 }] })).imagePeers).toEqual([]);
});

test("who is fetching an image can be asked for first, the least advanced before others", async () => {
  const { inventory } = await startSeeder();
  const tell = (id: string, what: object) =>
    inventory.report({ node: { ...node, id, name: id }, epoch: 1n, sequence: 1n, full: true, ...what });
  await tell("holder", { holdings: [{ digest: fetch.digest }] });
  await tell("ahead", { fetches: [{ ...fetch, doneBytes: 8n }] });
  await tell("behind", { fetches: [{ ...fetch, doneBytes: 2n }] });
  const answer = await inventory.listHoldings({ image: fetch.digest, fetchingFirst: true, pageSize: 2 });
  expect(answer.nodes.map(({ nodeId }) => nodeId)).toEqual(["behind", "ahead"]);
  const rest = { image: fetch.digest, fetchingFirst: true, pageToken: answer.nextPageToken };
  expect((await inventory.listHoldings(rest)).nodes).toMatchObject([{ nodeId: "holder" }]);
});

test("a silent node is lost", async () => {
  const { inventory } = await startSeeder();
  await inventory.report({ node: { ...node, reportIntervalMs: 50 }, epoch: 1n, sequence: 1n, full: true });
  for (;;) {
    const { nodes } = await inventory.listNodes({});
    if (nodes[0]?.state === NodeState.LOST) break;
    expect(nodes[0]?.state).toBe(NodeState.UP);
  }
});

test("what is not there, or makes no sense, is an error that says so", async () => {
  const { inventory } = await startSeeder();
  await expect(inventory.getNode({ node: "nobody" })).rejects.toMatchObject({ code: Code.NotFound });
  await expect(inventory.getNode({})).rejects.toMatchObject({ code: Code.InvalidArgument });
  await expect(inventory.listHoldings({ image: "nothing" })).rejects.toMatchObject({ code: Code.NotFound });
  await expect(inventory.report({ epoch: 1n, sequence: 1n })).rejects.toMatchObject({
    code: Code.InvalidArgument,
    message: expect.stringContaining("node:"),
  });
});
