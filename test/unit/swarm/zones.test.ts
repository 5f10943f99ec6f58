/**
 * What crosses between zones, between real sockets on loopback. The clock stands while the machine is busy with something
 * else: rates and waits are by the clock, and neither they nor the tests' limits are by how fast the machine is.
 */
import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { infoBytesOf, torrentInfoFromInfoBytes } from "../../../swarm/metainfo.ts";
import { Swarm } from "../../../swarm/swarm.ts";
import type { Torrent } from "../../../swarm/torrent.ts";
import type { SwarmOptions } from "../../../swarm/types.ts";
import { ManualClock } from "./manual-clock.ts";

const pieceLengthBytes = 64 * 1024;
const data = randomBytes(96 * pieceLengthBytes);
const pieceHashes = Buffer.concat(
  Array.from({ length: 96 }, (_, piece) =>
    createHash("sha1")
      .update(data.subarray(piece * pieceLengthBytes, (piece + 1) * pieceLengthBytes))
      .digest(),
  ),
);
const info = torrentInfoFromInfoBytes(
  infoBytesOf({ name: "image", lengthBytes: data.length, pieceLengthBytes, pieceHashes }),
);

let folder: string;
let swarms: Swarm[];
let clock: ManualClock;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "bootswarm-zones-"));
  swarms = [];
  clock = new ManualClock();
});

afterEach(async () => {
  await Promise.all(swarms.map((swarm) => swarm.close()));
  await rm(folder, { recursive: true });
});

/** A node that knows all that were opened before it. */
async function open(zone: string | undefined, options: Partial<SwarmOptions> & { isSeed?: boolean } = {}) {
  const { isSeed = false, ...limits } = options;
  const swarm = await Swarm.open({ host: "127.0.0.1", port: 0, dhtPort: 0, zone, clock, ...limits });
  const peers = swarms.map(({ peerPort }) => ({ host: "127.0.0.1", port: peerPort }));
  swarms.push(swarm);
  const dataPath = join(folder, String(swarm.peerPort));
  const { infohash } = info;
  if (isSeed) await writeFile(dataPath, data);
  const torrent = isSeed
    ? swarm.add({ infohash, info, dataPath, complete: true })
    : swarm.add({ infohash, dataPath, havePath: `${dataPath}.have`, peers });
  return { torrent, dataPath };
}

/** Goes on until all are complete; how long that took by the clock. */
const completion = (...torrents: Torrent[]) =>
  clock.advanceUntil(() => torrents.every((torrent) => torrent.status().complete), 300_000);
const uploadBytesPerSecondMax = 3 * 1024 * 1024;

test("a piece crosses between zones about once, however many nodes want it there", async () => {
  await open("a", { isSeed: true, uploadBytesPerSecondMax });
  const zoneOf = (number: number) => (number % 2 === 0 ? "a" : "b");
  const nodes = await Promise.all(
    Array.from({ length: 10 }, (_, number) => open(zoneOf(number), { uploadBytesPerSecondMax })),
  );
  await completion(...nodes.map(({ torrent }) => torrent));
  const farCopies = nodes
    .filter((_, number) => zoneOf(number) === "b")
    .reduce((sum, { torrent }) => sum + torrent.status().farBytes / data.length, 0);
  expect(farCopies).toBeGreaterThan(0.99);
  expect(farCopies).toBeLessThan(2);
  for (const { dataPath } of nodes) expect((await readFile(dataPath)).equals(data)).toBe(true);
});

test("a node that has nobody near takes all from afar, and one that is near a complete node next to nothing", async () => {
  await open("a", { isSeed: true });
  const first = await open("b");
  await completion(first.torrent);
  expect(first.torrent.status().farBytes).toBeGreaterThanOrEqual(data.length);
  const second = await open("b");
  await completion(second.torrent);
  expect(second.torrent.status().farBytes).toBeLessThan(0.3 * data.length);
});

test("a near node that takes nothing holds up nobody for long", async () => {
  await open("a", { isSeed: true });
  const stuck = await open("b", { downloadBytesPerSecondMax: 1 });
  const node = await open("b");
  await completion(node.torrent);
  expect(node.torrent.status().farBytes).toBeGreaterThanOrEqual(data.length - pieceLengthBytes);
  expect(stuck.torrent.status().complete).toBe(false);
});

test("a complete node that is in no zone serves those of a zone as one of another zone does, and each piece about once", async () => {
  const took: number[] = [];
  for (const zone of ["a", undefined]) {
    const seed = await open(zone, { isSeed: true, uploadBytesPerSecondMax });
    const nodes = [await open("b"), await open("b")];
    took.push(await completion(...nodes.map(({ torrent }) => torrent)));
    expect(seed.torrent.status().sentBytes).toBeLessThan(1.7 * data.length);
    await Promise.all(swarms.splice(0).map((swarm) => swarm.close()));
  }
  // It once took thirteen times as long: what was suggested was not asked for, and nothing else was.
  expect(took[1]).toBeLessThan(5 * (took[0] as number));
});
