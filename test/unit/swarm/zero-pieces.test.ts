import { createHash, randomBytes } from "node:crypto";
import { open as openFile, readFile, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { systemDisk } from "../../../swarm/disk.ts";
import { infoBytesOf, torrentInfoFromInfoBytes } from "../../../swarm/metainfo.ts";
import { Storage } from "../../../swarm/storage.ts";
import { Swarm } from "../../../swarm/swarm.ts";
import { systemClock } from "../../../swarm/system-clock.ts";
import { zeroPiecesOf } from "../../../swarm/zero-pieces.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";

const pieceBytes = 64 * 1024;
/** Ten pieces, the last one short; of zeros are 1, 2, 4, 8 and the last. */
const data = randomBytes(9 * pieceBytes + 5_000);
for (const index of [1, 2, 4, 8, 9]) data.subarray(index * pieceBytes, (index + 1) * pieceBytes).fill(0);
const hashes = Array.from({ length: 10 }, (_, at) =>
  createHash("sha1")
    .update(data.subarray(at * pieceBytes, (at + 1) * pieceBytes))
    .digest(),
);
const info = torrentInfoFromInfoBytes(
  infoBytesOf({
    name: "image",
    lengthBytes: data.length,
    pieceLengthBytes: pieceBytes,
    pieceHashes: Buffer.concat(hashes),
  }),
);
const zeroBytes = 4 * pieceBytes + 5_000;

async function newPlace() {
  const directory = await temporaryDirectory();
  const paths = { dataPath: join(directory, "data"), havePath: join(directory, "have") };
  const { signal } = new AbortController();
  const tools = { disk: systemDisk, clock: systemClock };
  const open = () => Storage.open({ info, ...paths, complete: false }, signal, tools);
  return { directory, ...paths, open };
}

const indicesOf = ({ have }: Pick<Storage, "have">) => [...Array(10).keys()].filter((index) => have.has(index));

test("hashes tell which pieces are zeros, the short last one too", () => {
  expect(indicesOf({ have: zeroPiecesOf(info) })).toEqual([1, 2, 4, 8, 9]);
});

test("a torrent without pieces has none of zeros", () => {
  expect(zeroPiecesOf({ ...info, lengthBytes: 0, pieceCount: 0 }).count).toBe(0);
});

test("in a new file the pieces of zeros are here, and take no room", async () => {
  const { dataPath, open } = await newPlace();
  const storage = await open();
  expect(indicesOf(storage)).toEqual([1, 2, 4, 8, 9]);
  expect(storage).toMatchObject({ zeroBytes, doneBytes: zeroBytes, repair: undefined });
  await storage.close();
  expect(await stat(dataPath)).toMatchObject({ size: data.length, blocks: 0 });
});

test("they are recorded, and believed at the next opening as something that was here", async () => {
  const { open } = await newPlace();
  await (await open()).close();
  const storage = await open();
  expect(indicesOf(storage)).toEqual([1, 2, 4, 8, 9]);
  expect(storage).toMatchObject({ zeroBytes: 0, doneBytes: zeroBytes, repair: undefined });
  await storage.close();
});

test("where the file holds something else, that is made zeros", async () => {
  const { dataPath, havePath, open } = await newPlace();
  await (await open()).close();
  const file = await openFile(dataPath, "r+");
  await file.write(Buffer.from("rot"), 0, 3, 4 * pieceBytes + 100);
  await file.close();
  // Nothing is recorded: every piece is looked at.
  await truncate(havePath, 0);
  const storage = await open();
  expect(indicesOf(storage)).toEqual([1, 2, 4, 8, 9]);
  expect(storage.zeroBytes).toBe(pieceBytes);
  await storage.close();
  const found = (await readFile(dataPath)).subarray(4 * pieceBytes, 5 * pieceBytes);
  expect(found.equals(Buffer.alloc(pieceBytes))).toBe(true);
});

test("a file that was begun and cut keeps what is right and has its zeros made good", async () => {
  const { dataPath, open } = await newPlace();
  // As HTTP leaves it: from the beginning, without a record, ending within a piece of zeros.
  await writeFile(dataPath, data.subarray(0, 4 * pieceBytes + 10));
  const storage = await open();
  expect(indicesOf(storage)).toEqual([0, 1, 2, 3, 4, 8, 9]);
  await storage.close();
});

test("nobody sends them: what goes over the wire is the rest, and the file is right and sparse", async () => {
  const directory = await temporaryDirectory();
  const [seeder, leecher] = await Promise.all([1, 2].map(() => Swarm.open({ host: "127.0.0.1", port: 0, dhtPort: 0 })));
  try {
    const seedPath = join(directory, "seed");
    await writeFile(seedPath, data);
    seeder!.add({ infohash: info.infohash, info, dataPath: seedPath, complete: true });
    const dataPath = join(directory, "leech");
    const torrent = leecher!.add({
      infohash: info.infohash,
      dataPath,
      havePath: `${dataPath}.have`,
      peers: [{ host: "127.0.0.1", port: seeder!.peerPort }],
    });
    await new Promise<void>((resolve, reject) => torrent.once("complete", resolve).once("error", reject));
    const sentBytes = data.length - zeroBytes;
    expect(torrent.status()).toMatchObject({ doneBytes: data.length, zeroBytes, swarmBytes: sentBytes });
    expect(seeder!.status().sentBytes).toBe(sentBytes);
    expect((await readFile(dataPath)).equals(data)).toBe(true);
    expect((await stat(dataPath)).blocks * 512).toBeLessThan(data.length - zeroBytes + pieceBytes);
  } finally {
    await Promise.all([seeder!.close(), leecher!.close()]);
  }
});

test("an image of nothing but zeros is complete without a peer", async () => {
  const directory = await temporaryDirectory();
  const zeros = createHash("sha1").update(Buffer.alloc(pieceBytes)).digest();
  const empty = torrentInfoFromInfoBytes(
    infoBytesOf({
      name: "image",
      lengthBytes: 3 * pieceBytes,
      pieceLengthBytes: pieceBytes,
      pieceHashes: Buffer.concat([zeros, zeros, zeros]),
    }),
  );
  const swarm = await Swarm.open({ host: "127.0.0.1", port: 0, dhtPort: 0 });
  try {
    const dataPath = join(directory, "data");
    const torrent = swarm.add({ infohash: empty.infohash, info: empty, dataPath, havePath: `${dataPath}.have` });
    await new Promise<void>((resolve, reject) => torrent.once("complete", resolve).once("error", reject));
    expect(torrent.status()).toMatchObject({ complete: true, doneBytes: 3 * pieceBytes, swarmBytes: 0 });
  } finally {
    await swarm.close();
  }
});
