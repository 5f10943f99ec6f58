/** Many connections at once, and copied ids: those who are honest still find a place. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import type { Socket } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { connectionsPerTorrentMax, handshakesMax } from "../../../swarm/limits.ts";
import { encodeHandshake, encodeSignal } from "../../../swarm/wire.ts";
import { eventually } from "../../fixtures/processes.ts";
import { ended, type HostileGround, openHostileGround } from "./hostile-ground.ts";

/** Loopback has many addresses; the attackers have some of their own. */
const attackers = ["127.0.0.2", "127.0.0.3", "127.0.0.4"];

let ground: HostileGround;

beforeEach(async () => {
  ground = await openHostileGround();
});

afterEach(() => ground.close());

/** Connections from the attackers' addresses, in turn, that say `greeting` if anything. */
async function crowd(count: number, greeting: () => Uint8Array | undefined): Promise<Socket[]> {
  const sockets = Array.from({ length: count }, (_, index) => ground.dial(attackers[index % attackers.length]));
  await Promise.all(
    sockets.map(async (socket) => {
      await once(socket, "connect").catch(() => {});
      socket.resume();
      const bytes = greeting();
      if (bytes) socket.write(bytes);
    }),
  );
  return sockets;
}

const handshake = () => encodeHandshake(ground.info.infohash, randomBytes(20));

test("connections of a few hosts that say nothing leave room for an honest one while they last", async () => {
  const silent = await crowd(3 * handshakesMax, () => undefined);
  await ground.honestPeerIsServed();
  expect(silent.some((socket) => !socket.closed)).toBe(true);
});

test("handshakes that come a byte at a time leave room for an honest one while they last", async () => {
  const slow = await crowd(3 * handshakesMax, () => handshake().subarray(0, 1));
  await ground.honestPeerIsServed();
  for (const socket of slow) if (!socket.closed) socket.write("B");
  await ground.honestPeerIsServed();
});

test("peers of a few hosts that take all places of a torrent give way to one of another", async () => {
  const sockets = await crowd(2 * connectionsPerTorrentMax, handshake);
  await eventually(
    () =>
      sockets.filter(({ closed, bytesRead }) => !closed && bytesRead > 0).length >= connectionsPerTorrentMax ||
      undefined,
    "all places are taken",
  );
  await ground.honestPeerIsServed();
});

test("whoever copies a seed's id from another address and comes first does not keep a leecher from the seed", async () => {
  // The seed's own handshake tells its id to anybody.
  const { peerId } = await ground.greeted();
  const { swarm, torrent } = await ground.openLeecher();
  const copier = ground.dial("127.0.0.2", swarm.peerPort);
  copier.write(encodeHandshake(ground.info.infohash, peerId));
  await once(copier, "data");
  torrent.addPeer({ host: "127.0.0.1", port: ground.seeder.peerPort });
  await once(torrent, "complete");
});

test("a peer that changes its mind without end is dropped, and others are served meanwhile", async () => {
  const { socket } = await ground.greeted("127.0.0.2");
  socket.resume();
  const changes = Buffer.concat([encodeSignal("interested"), encodeSignal("notInterested")]);
  const many = Buffer.concat(Array.from({ length: 5_000 }, () => changes));
  const flooding = (async () => {
    while (!socket.closed) {
      if (!socket.write(many)) await Promise.race([once(socket, "drain"), ended(socket)]).catch(() => {});
    }
  })();
  await ground.honestPeerIsServed();
  await flooding;
  await ground.honestPeerIsServed();
});
