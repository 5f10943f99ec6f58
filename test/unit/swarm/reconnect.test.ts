/** Which peers a torrent goes back to, how soon, and which it leaves alone. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { infoBytesOf, torrentInfoFromInfoBytes } from "../../../swarm/metainfo.ts";
import { Swarm } from "../../../swarm/swarm.ts";
import type { Torrent } from "../../../swarm/torrent.ts";
import type { Endpoint, SwarmOptions } from "../../../swarm/types.ts";
import { encodeHandshake } from "../../../swarm/wire.ts";
import { ManualClock, until } from "./manual-clock.ts";
import { WirePeer } from "./wire-peer.ts";

const info = torrentInfoFromInfoBytes(
  infoBytesOf({ name: "image", lengthBytes: 65_536, pieceLengthBytes: 65_536, pieceHashes: randomBytes(20) }),
);

let folder: string;
let clock: ManualClock;
let closers: (() => Promise<void>)[];
let lines: { message: string; error?: string; peer?: Endpoint }[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "bootswarm-reconnect-"));
  clock = new ManualClock();
  closers = [];
  lines = [];
});

afterEach(async () => {
  for (const close of closers.reverse()) await close();
  await rm(folder, { recursive: true });
});

async function openSwarm(options: Partial<SwarmOptions> = {}): Promise<Swarm> {
  const note = (fields: object, message: string) => void lines.push({ ...fields, message });
  const log = { debug: note, info: note, warn: note };
  const swarm = await Swarm.open({ host: "127.0.0.1", port: 0, dhtPort: 0, clock, log, ...options });
  closers.push(() => swarm.close());
  return swarm;
}

async function openPeer(fields: Partial<WirePeer> = {}): Promise<WirePeer> {
  const peer = await WirePeer.listen(info.infohash, fields);
  closers.push(() => peer.close());
  return peer;
}

function leech(swarm: Swarm, peers: Endpoint[] = [], infohash = info.infohash): Torrent {
  const dataPath = join(folder, infohash);
  return swarm.add({ infohash, dataPath, havePath: `${dataPath}.have`, peers });
}

const closed = async (socket: Socket) => {
  socket.resume();
  if (!socket.closed) await new Promise<void>((resolve) => socket.once("close", () => resolve()));
};

async function dial(port: number, bytes: Uint8Array): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  closers.push(async () => void socket.destroy());
  socket.on("error", () => {});
  await once(socket, "connect");
  socket.write(bytes);
  return socket;
}

test("the only seed, lost before the metadata came, is dialled again within two seconds", async () => {
  const seed = await openPeer({ metadataBytes: info.infoBytes.length });
  seed.onRequest = (_part, socket) => void socket.destroy();
  const torrent = leech(await openSwarm(), [seed.endpoint]);
  await clock.advanceUntil(() => seed.requests.length > 0, 1_000);
  seed.onRequest = seed.answerFrom(info.infoBytes);
  await clock.advanceUntil(() => torrent.info !== undefined, 2_000);
});

test("a given peer is found again within seconds, however long it was away", async () => {
  const peer = await openPeer({ isDown: true });
  const torrent = leech(await openSwarm(), [peer.endpoint]);
  await clock.advance(15 * 60_000);
  peer.isDown = false;
  const tookMs = await clock.advanceUntil(() => torrent.status().peers === 1, 60_000);
  expect(tookMs).toBeLessThan(16_000);
});

test("an address that waits is tried at once when it is named again, but not more often than every five seconds", async () => {
  const peer = await openPeer({ isDown: true });
  const torrent = leech(await openSwarm(), [peer.endpoint]);
  await clock.advance(60_000);
  const before = peer.connections;
  torrent.addPeer(peer.endpoint);
  await clock.advanceUntil(() => peer.connections === before + 1, 200);
  for (let count = 0; count < 40; count++) {
    torrent.addPeer(peer.endpoint);
    await clock.advance(100);
  }
  expect(peer.connections).toBe(before + 1);
});

test("no place for a connection is no fault of the address", async () => {
  const swarm = await openSwarm({ connectionsMax: 1 });
  const [holder, peer] = [await openPeer(), await openPeer()];
  const other = leech(swarm, [holder.endpoint]);
  await clock.advanceUntil(() => other.status().peers === 1, 1_000);
  const waiting = leech(swarm, [peer.endpoint], "1".repeat(40));
  // Not so long that the holder is given up as silent.
  await clock.advance(120_000);
  expect(peer.connections).toBe(0);
  await other.close();
  await clock.advanceUntil(() => peer.connections === 1, 2_000);
  await waiting.close();
});

test("thousands of dead addresses do not keep a living one out", async () => {
  const torrent = leech(await openSwarm());
  await clock.advance(0);
  for (let count = 0; count < 3_000; count++) {
    torrent.addPeer({ host: `127.1.${count >> 8}.${count & 255}`, port: 1 });
  }
  await clock.advance(1_000);
  const peer = await openPeer();
  torrent.addPeer(peer.endpoint);
  await clock.advanceUntil(() => torrent.status().peers === 1, 5_000);
});

test("a node that meets itself remembers the address and never dials it again", async () => {
  const swarm = await openSwarm({ host: "0.0.0.0" });
  const own = { host: "127.0.0.1", port: swarm.peerPort };
  const torrent = leech(swarm, [own]);
  await clock.advance(1_000);
  const other = leech(swarm, [own], "1".repeat(40));
  for (let count = 0; count < 60; count++) {
    await clock.advance(1_000);
    for (const each of [torrent, other]) each.addPeer(own);
  }
  const met = lines.filter(({ error }) => error === "connected to ourselves").map(({ peer }) => peer);
  // The DHT may have named the address of the machine's interface too: each once, whatever the torrent.
  const dialled = met.filter((peer) => peer?.port === own.port).map((peer) => peer?.host);
  expect(dialled).toContain(own.host);
  expect(dialled).toEqual([...new Set(dialled)]);
});

test("a node never dials the address it listens on", async () => {
  const swarm = await openSwarm();
  const torrent = leech(swarm, [{ host: "127.0.0.1", port: swarm.peerPort }]);
  await clock.advance(10_000);
  expect(lines.filter(({ error }) => error === "connected to ourselves")).toEqual([]);
  expect(torrent.status().peersSeen).toBe(0);
});

test("a peer past its handshake that breaks the protocol is struck off", async () => {
  const swarm = await openSwarm();
  leech(swarm);
  await clock.advance(0);
  const greeting = encodeHandshake(info.infohash, randomBytes(20));
  const socket = await dial(swarm.peerPort, Buffer.concat([greeting, Buffer.from("ffffffff14", "hex")]));
  await closed(socket);
  expect(lines.filter(({ message }) => message === "peer struck off")).toHaveLength(1);
  // Its id is known again, whatever port it comes from.
  const again = await dial(swarm.peerPort, greeting);
  await closed(again);
});

test("strangers that are no BitTorrent, or go away, are not struck off", async () => {
  const swarm = await openSwarm();
  leech(swarm);
  await clock.advance(0);
  await closed(await dial(swarm.peerPort, Buffer.from("GET / HTTP/1.1\r\n\r\n")));
  const greeting = encodeHandshake(info.infohash, randomBytes(20));
  const halfway = await dial(swarm.peerPort, greeting.subarray(0, 30));
  halfway.resetAndDestroy();
  const silent = await dial(swarm.peerPort, greeting);
  await once(silent, "data");
  silent.resetAndDestroy();
  await until(() => swarm.status().peers === 0);
  expect(lines.filter(({ message }) => message === "peer struck off")).toEqual([]);
});

test("a peer dialled that answers with no BitTorrent is tried again later, not struck off", async () => {
  const peer = await openPeer();
  peer.onHandshake = () => {};
  const torrent = leech(await openSwarm(), [peer.endpoint], "1".repeat(40));
  await clock.advance(10_000);
  expect(peer.connections).toBeGreaterThan(1);
  expect(torrent.status().peers).toBe(0);
  expect(lines.filter(({ message }) => message === "peer struck off")).toEqual([]);
});
