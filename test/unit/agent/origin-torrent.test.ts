/** An image whose torrent nobody knows but the origin: the DHT is away, and no peer is met. */
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { FetchState } from "../../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import { startSeeder } from "../seeder/running-seeder.ts";
import { fetchToEnd, startAgent } from "./running-agent.ts";
import { type DataRequest, sendRange, sha256, startScriptedSeeder } from "./scripted-seeder.ts";

const bytes = randomBytes(1_500_000);

/** A catalog that names neither peers nor DHT nodes, and serves the torrent of a real seeder's image. */
async function startLoneOrigin(torrentOf: (metainfo: Buffer) => Buffer, serve?: (asked: DataRequest) => void) {
  const seeder = await startSeeder();
  await fetch(`${seeder.url}/images/image`, { method: "PUT", body: bytes });
  const { image } = await seeder.catalog.getImage({ image: "image" });
  const metainfo = Buffer.from(await (await fetch(`${seeder.url}/images/image.torrent`)).arrayBuffer());
  const said = { infohash: image!.infohash, magnetUri: `magnet:?xt=urn:btih:${image!.infohash}` };
  return startScriptedSeeder([{ name: "image", bytes, said, torrent: torrentOf(metainfo), ...(serve && { serve }) }]);
}

test("its pieces come by HTTP in any order, are checked one by one, and are served to peers at the end", async () => {
  const origin = await startLoneOrigin((metainfo) => metainfo);
  const agent = await startAgent(origin.url, { "fetch.swarmPatienceMs": 100 });
  const { fetch, path } = await fetchToEnd(agent, "image");
  expect(fetch).toMatchObject({ state: FetchState.READY, httpBytes: BigInt(bytes.length) });
  expect((await readFile(path)).equals(bytes)).toBe(true);
  expect((await agent.service.listImages({})).images).toMatchObject([{ seeding: true }]);
  expect(origin.offsets.length).toBeGreaterThan(1);
  expect(origin.offsets).not.toEqual(origin.offsets.toSorted((a, b) => a - b));
});

test("different nodes take different pieces first", async () => {
  const origin = await startLoneOrigin((metainfo) => metainfo);
  for (const _ of [1, 2]) await fetchToEnd(await startAgent(origin.url, { "fetch.swarmPatienceMs": 0 }), "image");
  const half = origin.offsets.length / 2;
  expect(origin.offsets.slice(0, half)).not.toEqual(origin.offsets.slice(half));
});

test("the inventory is told how many pieces failed their check", async () => {
  const wrong = Buffer.from(bytes).fill(0, 0, 1_000);
  const origin = await startLoneOrigin(
    (metainfo) => metainfo,
    (asked) =>
      sendRange(asked, origin.offsets.filter((offset) => offset === 0).length > 1 ? bytes : wrong, sha256(bytes)),
  );
  const agent = await startAgent(origin.url, { "fetch.swarmPatienceMs": 100, "report.intervalMs": 500 });
  expect((await fetchToEnd(agent, "image")).fetch.state).toBe(FetchState.READY);
  await expect.poll(() => origin.verifyFailuresTold).toBe(1);
});

test("a torrent that is not the image's is not used: the image comes from its beginning", async () => {
  const origin = await startLoneOrigin((metainfo) => {
    const wrong = Buffer.from(metainfo);
    wrong[wrong.length - 100]! ^= 1;
    return wrong;
  });
  const agent = await startAgent(origin.url, { "fetch.swarmPatienceMs": 100 });
  const { fetch, path } = await fetchToEnd(agent, "image");
  expect(fetch).toMatchObject({ state: FetchState.READY, httpBytes: BigInt(bytes.length) });
  expect((await readFile(path)).equals(bytes)).toBe(true);
  expect(origin.offsets).toEqual([0]);
});
