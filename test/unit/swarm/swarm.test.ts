import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { infoBytesOf, torrentInfoFromInfoBytes } from "../../../swarm/metainfo.ts";
import { Swarm } from "../../../swarm/swarm.ts";
import type { Torrent } from "../../../swarm/torrent.ts";
import type { Endpoint, PieceSource, SwarmOptions, TorrentInfo } from "../../../swarm/types.ts";
import { eventually } from "../../fixtures/processes.ts";

let folder: string;
let swarms: Swarm[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "bootswarm-swarm-"));
  swarms = [];
});

afterEach(async () => {
  await Promise.all(swarms.map((swarm) => swarm.close()));
  await rm(folder, { recursive: true });
});

async function openSwarm(options: Partial<SwarmOptions> = {}): Promise<Swarm> {
  const swarm = await Swarm.open({ host: "127.0.0.1", port: 0, dhtPort: 0, ...options });
  swarms.push(swarm);
  return swarm;
}

function infoOf(data: Uint8Array, pieceLengthBytes = 64 * 1024): TorrentInfo {
  const hashes: Buffer[] = [];
  for (let at = 0; at < data.length; at += pieceLengthBytes) {
    hashes.push(
      createHash("sha1")
        .update(data.subarray(at, at + pieceLengthBytes))
        .digest(),
    );
  }
  return torrentInfoFromInfoBytes(
    infoBytesOf({ name: "image", lengthBytes: data.length, pieceLengthBytes, pieceHashes: Buffer.concat(hashes) }),
  );
}

async function seed(swarm: Swarm, data: Uint8Array, info = infoOf(data)): Promise<Torrent> {
  const dataPath = join(folder, `seed-${swarm.peerPort}`);
  await writeFile(dataPath, data);
  return swarm.add({ infohash: info.infohash, info, dataPath, complete: true });
}

function leech(swarm: Swarm, infohash: string, options: { peers?: Endpoint[]; expectedLengthBytes?: number } = {}) {
  const path = join(folder, `leech-${swarm.peerPort}`);
  return { path, torrent: swarm.add({ infohash, dataPath: path, havePath: `${path}.have`, ...options }) };
}

function completion(torrent: Torrent): Promise<void> {
  return new Promise((resolve, reject) => {
    torrent.once("complete", () => resolve());
    torrent.once("error", reject);
  });
}

const endpointOf = (swarm: Swarm): Endpoint => ({ host: "127.0.0.1", port: swarm.peerPort });
const dhtOf = (swarm: Swarm): Endpoint => ({ host: "127.0.0.1", port: swarm.dhtPort });

test("a node that knows only the infohash and a peer gets metadata and data", async () => {
  const data = randomBytes(3_000_000);
  const [seeder, leecher] = [await openSwarm(), await openSwarm()];
  const { infohash } = await seed(seeder, data);
  const { path, torrent } = leech(leecher, infohash, { peers: [endpointOf(seeder)] });
  await completion(torrent);
  expect((await readFile(path)).equals(data)).toBe(true);
  expect(torrent.status()).toMatchObject({ complete: true, doneBytes: data.length, verifyFailures: 0 });
});

test("what somebody waits for comes at once beside a download limit that lets next to nothing through", async () => {
  const data = randomBytes(2_000_000);
  // A handshake alone takes it a minute.
  const [seeder, leecher] = [await openSwarm(), await openSwarm({ downloadBytesPerSecondMax: 1 })];
  const info = infoOf(data);
  await seed(seeder, data, info);
  const path = join(folder, "limited");
  const torrent = leecher.add({ infohash: info.infohash, info, dataPath: path, havePath: `${path}.have` });
  const arrived: number[] = [];
  torrent.on("piece", (index) => arrived.push(index));
  torrent.addPeer(endpointOf(seeder));
  for (const index of [20, 3]) {
    torrent.want({ now: [index], ahead: [] });
    await eventually(() => arrived.includes(index) || undefined, `piece ${index}`);
  }
  torrent.want({ now: [], ahead: [] });
  expect(torrent.status().complete).toBe(false);
});

test("a torrent of no bytes is complete once its metadata is here", async () => {
  const [seeder, leecher] = [await openSwarm(), await openSwarm()];
  const { infohash } = await seed(seeder, Buffer.alloc(0));
  const { path, torrent } = leech(leecher, infohash, { peers: [endpointOf(seeder)] });
  await completion(torrent);
  expect((await readFile(path)).length).toBe(0);
});

test("peers find each other through the DHT of a bootstrap node alone", async () => {
  const data = randomBytes(1_000_000);
  const seeder = await openSwarm();
  const { infohash } = await seed(seeder, data);
  const leechers = [];
  for (let count = 0; count < 3; count++) {
    const swarm = await openSwarm({ bootstrap: [dhtOf(seeder)] });
    leechers.push(leech(swarm, infohash));
  }
  await Promise.all(leechers.map(({ torrent }) => completion(torrent)));
  for (const { path } of leechers) expect((await readFile(path)).equals(data)).toBe(true);
});

test("leechers trade pieces among themselves: the seed sends far fewer copies than there are leechers", async () => {
  const data = randomBytes(8_000_000);
  const seeder = await openSwarm({ uploadBytesPerSecondMax: 8_000_000 });
  const { infohash } = await seed(seeder, data);
  const nodes = [await openSwarm(), await openSwarm(), await openSwarm(), await openSwarm()];
  const peers = [seeder, ...nodes].map(endpointOf);
  const leechers = nodes.map((swarm) => leech(swarm, infohash, { peers }));
  await Promise.all(leechers.map(({ torrent }) => completion(torrent)));
  expect(seeder.status().sentBytes).toBeLessThan(2.5 * data.length);
});

test("a node that has some pieces resumes from them without asking for them again", async () => {
  const data = randomBytes(4_000_000);
  const info = infoOf(data);
  const seeder = await openSwarm({ uploadBytesPerSecondMax: 4_000_000 });
  await seed(seeder, data, info);
  const first = await openSwarm();
  const dataPath = join(folder, "resumed");
  const begun = first.add({
    infohash: info.infohash,
    dataPath,
    havePath: `${dataPath}.have`,
    peers: [endpointOf(seeder)],
  });
  let pieces = 0;
  await new Promise<void>((resolve) => begun.on("piece", () => ++pieces === 10 && resolve()));
  await begun.close();
  const doneBefore = begun.status().doneBytes;
  const resumed = first.add({
    infohash: info.infohash,
    info,
    dataPath,
    havePath: `${dataPath}.have`,
    peers: [endpointOf(seeder)],
  });
  await completion(resumed);
  expect((await readFile(dataPath)).equals(data)).toBe(true);
  expect(doneBefore).toBeGreaterThanOrEqual(9 * 64 * 1024);
  expect(resumed.status().swarmBytes).toBeLessThanOrEqual(data.length - doneBefore + 64 * 1024);
});

test("a torn have-bitmap is not believed: pieces on disk are hashed, and only what is missing is fetched", async () => {
  const data = randomBytes(1_000_000);
  const info = infoOf(data);
  const seeder = await openSwarm();
  await seed(seeder, data, info);
  const damaged = Buffer.from(data);
  damaged.fill(0, 300_000, 400_000);
  const dataPath = join(folder, "damaged");
  await writeFile(dataPath, damaged);
  await writeFile(`${dataPath}.have`, Buffer.alloc(6, 0xff));
  const swarm = await openSwarm();
  const torrent = swarm.add({
    infohash: info.infohash,
    info,
    dataPath,
    havePath: `${dataPath}.have`,
    peers: [endpointOf(seeder)],
  });
  await completion(torrent);
  expect((await readFile(dataPath)).equals(data)).toBe(true);
  expect(torrent.status().swarmBytes).toBeLessThan(300_000);
});

const failures = (torrent: Torrent, count: number) =>
  eventually(() => torrent.status().verifyFailures >= count || undefined, `${count} failures`);

test("a seed with one rotten piece gives all others; that one is not kept, and comes from an honest seed", async () => {
  const data = randomBytes(1_000_000);
  const info = infoOf(data);
  const rotten = Buffer.from(data);
  rotten[500_000]! ^= 1;
  const [liar, honest, leecher] = [await openSwarm(), await openSwarm(), await openSwarm()];
  await seed(liar, rotten, info);
  const { path, torrent } = leech(leecher, info.infohash, { peers: [endpointOf(liar)] });
  let pieces = 0;
  await new Promise<void>((resolve) => torrent.on("piece", () => ++pieces === info.pieceCount - 1 && resolve()));
  await failures(torrent, 1);
  await seed(honest, data, info);
  torrent.addPeer(endpointOf(honest));
  await completion(torrent);
  expect((await readFile(path)).equals(data)).toBe(true);
  expect(torrent.status().verifyFailures).toBe(1);
});

test("a peer that sends nothing but bad pieces is struck off after a few", async () => {
  const data = randomBytes(1_000_000);
  const [liar, leecher] = [await openSwarm(), await openSwarm()];
  await seed(liar, randomBytes(data.length), infoOf(data));
  const { torrent } = leech(leecher, infoOf(data).infohash, { peers: [endpointOf(liar)] });
  await failures(torrent, 3);
  expect(torrent.status()).toMatchObject({ peers: 0, doneBytes: 0 });
  torrent.addPeer(endpointOf(liar));
  expect(torrent.status().peers).toBe(0);
});

test("a source beside the peers is checked like a peer, and alone completes the torrent", async () => {
  const data = randomBytes(2_000_000);
  const info = infoOf(data);
  const swarm = await openSwarm();
  const dataPath = join(folder, "by-source");
  const torrent = swarm.add({ infohash: info.infohash, info, dataPath, havePath: `${dataPath}.have` });
  let failuresLeft = 2;
  const source: PieceSource = {
    name: "memory",
    requestsMax: 3,
    read: async (offset, length) => {
      const bytes = Buffer.from(data.subarray(offset, offset + length));
      if (offset === 0 && failuresLeft-- > 0) bytes[0]! ^= 1;
      return bytes;
    },
  };
  torrent.addSource(source);
  await completion(torrent);
  expect((await readFile(dataPath)).equals(data)).toBe(true);
  expect(torrent.status()).toMatchObject({ swarmBytes: 0, verifyFailures: 2 });
});

test("a torrent of another length than expected fails with both lengths", async () => {
  const data = randomBytes(100_000);
  const [seeder, leecher] = [await openSwarm(), await openSwarm()];
  const { infohash } = await seed(seeder, data);
  const { torrent } = leech(leecher, infohash, { peers: [endpointOf(seeder)], expectedLengthBytes: 99_999 });
  await expect(completion(torrent)).rejects.toThrow(/100000 bytes where 99999/);
});

test("a port in use is told by its code", async () => {
  const taken = await openSwarm();
  await expect(openSwarm({ port: taken.peerPort })).rejects.toMatchObject({ code: "EADDRINUSE" });
  await expect(openSwarm({ dhtPort: taken.dhtPort })).rejects.toMatchObject({ code: "EADDRINUSE" });
});
