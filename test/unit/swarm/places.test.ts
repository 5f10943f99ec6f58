/** Who gets a place when a torrent, or the node, has as many connections as it may. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { connectionsPerTorrentMax, connectsPerTorrentMax, neighboursWanted } from "../../../swarm/limits.ts";
import { Swarm } from "../../../swarm/swarm.ts";
import type { Torrent } from "../../../swarm/torrent.ts";
import type { Endpoint, SwarmOptions } from "../../../swarm/types.ts";
import { encodeHandshake } from "../../../swarm/wire.ts";
import { ManualClock, until } from "./manual-clock.ts";
import { WirePeer } from "./wire-peer.ts";

let folder: string;
let clock: ManualClock;
let closers: (() => unknown)[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "bootswarm-places-"));
  clock = new ManualClock();
  closers = [];
});

afterEach(async () => {
  for (const close of closers.reverse()) await close();
  await rm(folder, { recursive: true });
});

async function openSwarm(options: Partial<SwarmOptions> = {}): Promise<Swarm> {
  const swarm = await Swarm.open({ host: "127.0.0.1", port: 0, dhtPort: 0, clock, ...options });
  closers.push(() => swarm.close());
  return swarm;
}

function leech(swarm: Swarm, peers: Endpoint[] = [], infohash = randomBytes(20).toString("hex")): Torrent {
  const dataPath = join(folder, infohash);
  return swarm.add({ infohash, dataPath, havePath: `${dataPath}.have`, peers });
}

/** A peer that dials and says no more than its handshake. */
async function dial(swarm: Swarm, torrent: Torrent): Promise<Socket> {
  const socket = connect(swarm.peerPort, "127.0.0.1");
  closers.push(() => socket.destroy());
  socket.on("error", () => {});
  await once(socket, "connect");
  socket.write(encodeHandshake(torrent.infohash, randomBytes(20)));
  socket.resume();
  return socket;
}

const dialMany = async (count: number, swarm: Swarm, torrent: Torrent) => {
  const sockets = await Promise.all(Array.from({ length: count }, () => dial(swarm, torrent)));
  await until(() => torrent.status().peers + sockets.filter(({ closed }) => closed).length >= count);
  return sockets;
};

const listenMany = async (count: number, torrent: { infohash: string }) => {
  const peers = await Promise.all(Array.from({ length: count }, () => WirePeer.listen(torrent.infohash)));
  for (const peer of peers) closers.push(() => peer.close());
  return peers;
};

test("a torrent dials no more than it wants, and leaves the other places to those who dial it", async () => {
  const swarm = await openSwarm();
  const torrent = leech(swarm);
  const listeners = await listenMany(neighboursWanted + 20, torrent);
  for (const { endpoint } of listeners) torrent.addPeer(endpoint);
  await clock.advanceUntil(() => torrent.status().peers === neighboursWanted, 5_000);
  await clock.advance(3_000);
  expect(torrent.status().peers).toBe(neighboursWanted);
  await dialMany(connectionsPerTorrentMax, swarm, torrent);
  expect(torrent.status().peers).toBe(connectionsPerTorrentMax);
});

test("attempts under way take places, so that no torrent has more connections than it may when they are answered", async () => {
  const swarm = await openSwarm();
  const torrent = leech(swarm);
  const dialled: Socket[] = [];
  closers.push(() => dialled.forEach((socket) => void socket.destroy()));
  for (let count = 0; count < connectsPerTorrentMax; count++) {
    const server = createServer((socket) => void dialled.push(socket.on("error", () => {})));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    closers.push(() => server.close());
    torrent.addPeer({ host: "127.0.0.1", port: (server.address() as AddressInfo).port });
  }
  await clock.advanceUntil(() => dialled.length === connectsPerTorrentMax, 5_000);
  await dialMany(connectionsPerTorrentMax, swarm, torrent);
  expect(torrent.connections).toBe(connectionsPerTorrentMax);
  for (const socket of dialled) socket.write(encodeHandshake(torrent.infohash, randomBytes(20)));
  await until(() => torrent.status().peers === connectionsPerTorrentMax);
  expect(torrent.connections).toBe(connectionsPerTorrentMax);
});

test("where all places are taken, a newcomer gets that of a neighbour of no use, one in a second", async () => {
  const swarm = await openSwarm();
  const torrent = leech(swarm);
  await clock.advance(0);
  const old = await dialMany(connectionsPerTorrentMax, swarm, torrent);
  const early = await dial(swarm, torrent);
  await until(() => early.closed);
  await clock.advance(11_000);
  const newcomers = [await dial(swarm, torrent), await dial(swarm, torrent), await dial(swarm, torrent)];
  await until(() => newcomers.filter(({ closed }) => closed).length === 2);
  await until(() => old.filter(({ closed }) => closed).length === 1);
  expect(torrent.status().peers).toBe(connectionsPerTorrentMax);
});

test("a torrent with enough neighbours exchanges one of no use for somebody new every few seconds", async () => {
  const swarm = await openSwarm();
  const torrent = leech(swarm);
  const listeners = await listenMany(neighboursWanted + 10, torrent);
  for (const { endpoint } of listeners) torrent.addPeer(endpoint);
  await clock.advanceUntil(() => torrent.status().peers === neighboursWanted, 5_000);
  await clock.advanceUntil(() => listeners.every(({ connections }) => connections > 0), 120_000);
  expect(torrent.status().peers).toBeGreaterThanOrEqual(neighboursWanted - 1);
});

test("a node's last places go from the torrent that has many to the one that has none", async () => {
  const swarm = await openSwarm({ connectionsMax: 20 });
  const [greedy, late] = [leech(swarm), leech(swarm)];
  for (const { endpoint } of await listenMany(25, greedy)) greedy.addPeer(endpoint);
  await clock.advanceUntil(() => greedy.status().peers === 20, 5_000);
  for (const { endpoint } of await listenMany(25, late)) late.addPeer(endpoint);
  await clock.advanceUntil(() => late.status().peers >= 10 && greedy.status().peers <= 10, 30_000);
  expect(swarm.status().peers).toBeLessThanOrEqual(20);
  // And it stays so.
  await clock.advance(30_000);
  expect([greedy.status().peers, late.status().peers].map((count) => count >= 9 && count <= 11)).toEqual([true, true]);
});

test("one that dials a full node gets in for a torrent that has less than its share", async () => {
  const swarm = await openSwarm({ connectionsMax: 10 });
  const [busy, quiet] = [leech(swarm), leech(swarm)];
  await clock.advance(0);
  await dialMany(10, swarm, busy);
  await dialMany(3, swarm, quiet);
  expect([busy.status().peers, quiet.status().peers]).toEqual([7, 3]);
  await dialMany(20, swarm, quiet);
  expect([busy.status().peers, quiet.status().peers]).toEqual([5, 5]);
});
