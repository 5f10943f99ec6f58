import { createHash, randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { Demand } from "../../../agent/disk/demand.ts";
import { wantOf } from "../../../agent/disk/demand-pieces.ts";
import { infoBytesOf, torrentInfoFromInfoBytes } from "../../../swarm/metainfo.ts";
import { Swarm } from "../../../swarm/swarm.ts";
import { systemClock } from "../../../swarm/system-clock.ts";
import { eventually } from "../../fixtures/processes.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";

const pieceBytes = 64 * 1024;
const pieceCount = 20;
const bytes = randomBytes(pieceCount * pieceBytes);
bytes.fill(0, 3 * pieceBytes, 4 * pieceBytes);
const hashes = Array.from({ length: pieceCount }, (_, at) =>
  createHash("sha1")
    .update(bytes.subarray(at * pieceBytes, (at + 1) * pieceBytes))
    .digest(),
);
const info = torrentInfoFromInfoBytes(
  infoBytesOf({
    name: "image",
    lengthBytes: bytes.length,
    pieceLengthBytes: pieceBytes,
    pieceHashes: Buffer.concat(hashes),
  }),
);
const digest = "ab".repeat(32);

test("ranges become the pieces that they lie in: what is waited for first, and none of it ahead as well", () => {
  const want = wantOf(
    [
      { offset: 130, length: 10, ahead: true },
      { offset: 95, length: 10, ahead: false },
      { offset: 101, length: 40, ahead: true },
      { offset: 5, length: 1, ahead: false },
    ],
    10,
  );
  expect(want).toEqual({ now: [9, 10, 0], ahead: [13, 11, 12, 14] });
});

/** A torrent that nobody serves yet, and what reads its image. */
async function setUp() {
  const directory = await temporaryDirectory();
  const [seed, leech] = await Promise.all([1, 2].map(() => Swarm.open({ host: "127.0.0.1", port: 0, dhtPort: 0 })));
  onTestFinished(async () => void (await Promise.all([seed!.close(), leech!.close()])));
  const paths = { dataPath: join(directory, "leech"), havePath: join(directory, "have") };
  const torrent = leech!.add({ infohash: info.infohash, ...paths });
  const serve = async () => {
    const dataPath = join(directory, "seed");
    await writeFile(dataPath, bytes);
    seed!.add({ infohash: info.infohash, info, dataPath, complete: true });
    torrent.addPeer({ host: "127.0.0.1", port: seed!.peerPort });
  };
  const told: string[] = [];
  const demand = new Demand(systemClock);
  demand.listener = { piecesChanged: () => told.push("pieces"), arrived: () => told.push("arrived") };
  return { demand, torrent, serve, told };
}

const piecesIn = (buffer: SharedArrayBuffer) => {
  const bits = new Uint8Array(buffer);
  return Array.from({ length: pieceCount }, (_, at) => at).filter((at) => bits[at >> 3]! & (0x80 >> (at & 7)));
};

test("a demand from before the pieces were known is served, and the pieces that came can be read", async () => {
  const { demand, torrent, serve, told } = await setUp();
  const leave = demand.join(digest, torrent);
  demand.use(digest);
  expect(demand.piecesOf(digest)).toBeUndefined();
  demand.demand(digest, [{ offset: 7 * pieceBytes, length: 10, ahead: false }]);
  expect(demand.waitingSinceMs(digest)).toBeDefined();
  await serve();
  await new Promise((resolve) => torrent.once("complete", () => resolve(undefined)));
  const pieces = demand.piecesOf(digest)!;
  expect(piecesIn(pieces.have)).toHaveLength(pieceCount);
  expect(piecesIn(pieces.zero)).toEqual([3]);
  await eventually(() => told.includes("arrived") || undefined, "arrivals are told");
  expect(told[0]).toBe("pieces");
  leave(true);
  expect(demand.piecesOf(digest)).toBe(pieces);
});

test("what is doubted cannot be read from that very moment, and is told", async () => {
  const { demand, torrent, serve, told } = await setUp();
  const leave = demand.join(digest, torrent);
  demand.use(digest);
  await serve();
  await new Promise((resolve) => torrent.once("complete", () => resolve(undefined)));
  const { have } = demand.piecesOf(digest)!;
  leave(false);
  expect(piecesIn(have)).toEqual([]);
  expect(demand.piecesOf(digest)).toBeUndefined();
  expect(told.filter((each) => each === "pieces")).toHaveLength(2);
});

test("an image that is attached when all of it has come finds what can be read", async () => {
  const { demand, torrent, serve } = await setUp();
  const leave = demand.join(digest, torrent);
  await serve();
  await new Promise((resolve) => torrent.once("complete", () => resolve(undefined)));
  leave(true);
  demand.use(digest);
  expect(piecesIn(demand.piecesOf(digest)!.have)).toHaveLength(pieceCount);
});

test("reads wait without a break as long as any does", async () => {
  const { demand } = await setUp();
  demand.demand(digest, [{ offset: 0, length: 1, ahead: false }]);
  const sinceMs = demand.waitingSinceMs(digest);
  demand.demand(digest, [{ offset: 9, length: 1, ahead: false }]);
  expect(demand.waitingSinceMs(digest)).toBe(sinceMs);
  demand.demand(digest, [{ offset: 9, length: 1, ahead: true }]);
  expect(demand.waitingSinceMs(digest)).toBeUndefined();
});
