/** Peer exchange (ut_pex, BEP 11) between real sockets, without any DHT. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import bencode from "bencode";
import { afterEach, beforeEach, expect, test } from "vitest";
import { encodeExtensionHandshake, extensionHandshakeId, ourPexId } from "../../../swarm/extension.ts";
import { piecesMax } from "../../../swarm/limits.ts";
import { encodePexMessage, type PexMessage, pexMessageFrom } from "../../../swarm/pex-message.ts";
import { Swarm } from "../../../swarm/swarm.ts";
import type { Torrent } from "../../../swarm/torrent.ts";
import type { Clock, Endpoint } from "../../../swarm/types.ts";
import { encodeExtended, encodeHandshake, WireDecoder } from "../../../swarm/wire.ts";
import { eventually } from "../../fixtures/processes.ts";
import { ManualClock, until } from "./manual-clock.ts";

const infohash = randomBytes(20).toString("hex");
/** Ids under which the peers made here take ut_pex messages. */
const theirPexId = 7;

let folder: string;
let closers: (() => unknown)[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "bootswarm-pex-"));
  closers = [];
});

afterEach(async () => {
  for (const close of closers.reverse()) await close();
  await rm(folder, { recursive: true });
});

async function openNode(peers: Endpoint[], clock?: Clock) {
  const swarm = await Swarm.open({ host: "127.0.0.1", port: 0, dhtPort: 0, ...(clock ? { clock } : {}) });
  closers.push(() => swarm.close());
  const dataPath = join(folder, String(swarm.peerPort));
  const torrent = swarm.add({ infohash, dataPath, havePath: `${dataPath}.have`, peers });
  return { swarm, torrent, endpoint: { host: "127.0.0.1", port: swarm.peerPort } };
}

const peersOf = (torrent: Torrent, count: number) =>
  eventually(() => torrent.status().peers === count || undefined, `${count} peers`);

/** A peer of another make that dials a node and keeps the ut_pex messages it is sent. */
async function dialAs(node: { endpoint: Endpoint }, extensions: Uint8Array) {
  const socket = connect(node.endpoint.port, "127.0.0.1");
  closers.push(() => socket.destroy());
  socket.on("error", () => {});
  await once(socket, "connect");
  const messages: PexMessage[] = [];
  const decoder = new WireDecoder(
    {
      onHandshake: () => {},
      onMessage: (message) => {
        if (message.type === "extended" && message.id === theirPexId) {
          messages.push(pexMessageFrom(Buffer.from(message.payload)));
        }
      },
      onBlockStart: () => undefined,
      onBlockEnd: () => {},
    },
    { bitfieldBytesMax: piecesMax },
  );
  socket.on("data", (chunk) => decoder.push(chunk));
  socket.write(encodeHandshake(infohash, randomBytes(20)));
  socket.write(encodeExtended(extensionHandshakeId, extensions));
  return { socket, messages };
}

/** An extension handshake as other clients send it. */
const foreign = (port: number) => bencode.encode({ m: { ut_pex: theirPexId }, p: port, v: "other 1.0" });
/** One that takes quick messages, as our own nodes do. */
const ours = (port: number) => bencode.encode({ bw_pex: 1, m: { ut_pex: theirPexId }, p: port });

function sendPex(socket: Socket, message: Partial<PexMessage>): void {
  socket.write(encodeExtended(ourPexId, encodePexMessage({ added: [], dropped: [], ...message })));
}

const closed = (socket: Socket) => until(() => socket.closed);

test("a node that knows one peer learns of that peer's peers and connects to them", async () => {
  const far = await openNode([]);
  const middle = await openNode([far.endpoint]);
  await peersOf(middle.torrent, 1);
  const near = await openNode([middle.endpoint]);
  await Promise.all([near, middle, far].map(({ torrent }) => peersOf(torrent, 2)));
});

test("a chain of nodes that each know the one before becomes one in which all know all", async () => {
  const nodes = [await openNode([])];
  for (let count = 1; count < 8; count++) nodes.push(await openNode([nodes.at(-1)!.endpoint]));
  await Promise.all(nodes.map(({ torrent }) => peersOf(torrent, nodes.length - 1)));
});

test("a newcomer is told at once; then changes only, to our own soon and to others once a minute", async () => {
  const clock = new ManualClock();
  const node = await openNode([], clock);
  await clock.advance(0);
  const first = await dialAs(node, foreign(1_001));
  await clock.advanceUntil(() => node.torrent.status().peers === 1, 2_000);
  const [other, own] = [await dialAs(node, foreign(1_002)), await dialAs(node, ours(1_003))];
  await clock.advanceUntil(() => other.messages.length > 0 && own.messages.length > 0, 500);
  expect(other.messages[0]?.added).toContainEqual({ host: "127.0.0.1", port: 1_001, flags: 0 });
  const late = await dialAs(node, foreign(1_004));
  await clock.advanceUntil(() => own.messages.flatMap(({ added }) => added).length === 3, 3_000);
  await clock.advance(50_000);
  expect(other.messages).toHaveLength(1);
  await clock.advanceUntil(() => other.messages.length === 2, 20_000);
  expect(other.messages[1]?.added).toContainEqual({ host: "127.0.0.1", port: 1_004, flags: 0 });
  late.socket.destroy();
  first.socket.destroy();
  await clock.advanceUntil(() => other.messages.length === 3, 70_000);
  expect(other.messages[2]).toMatchObject({ added: [], dropped: { length: 2 } });
  await clock.advance(300_000);
  expect(other.messages).toHaveLength(3);
});

test("nobody is told of itself, nor of one that does not say where it listens", async () => {
  const node = await openNode([]);
  await dialAs(node, bencode.encode({ m: { ut_pex: theirPexId } }));
  await dialAs(node, ours(1_001));
  await peersOf(node.torrent, 2);
  const last = await dialAs(node, ours(1_002));
  await until(() => last.messages.length > 0);
  expect(last.messages[0]?.added.map(({ port }) => port)).toEqual([1_001]);
});

test("addresses that nobody can be at, or the node's own, are not dialled", async () => {
  const node = await openNode([]);
  const peer = await openNode([]);
  const { socket } = await dialAs(node, ours(1_001));
  const hosts = ["0.0.0.0", "224.0.0.1", "255.255.255.255", "::"].map((host) => ({ host, port: 1 }));
  const added = [...hosts, node.endpoint, { host: "127.0.0.1", port: 0 }, peer.endpoint];
  sendPex(socket, { added: added.map((endpoint) => ({ ...endpoint, flags: 0 })) });
  await peersOf(node.torrent, 2);
  // The one that dialled, and the one address of seven that a peer can be at.
  expect(node.torrent.status().peersSeen).toBe(2);
});

test.each([
  ["makes no sense", (socket: Socket) => void socket.write(encodeExtended(ourPexId, Buffer.from("d5:added3:abce")))],
  [
    "comes too often",
    (socket: Socket) => {
      for (let count = 0; count < 20; count++) sendPex(socket, {});
    },
  ],
])("a peer whose message %s is struck off", async (_what, send) => {
  const node = await openNode([]);
  const { socket } = await dialAs(node, encodeExtensionHandshake({ peerPort: 1_001, metadataBytes: 0 }));
  await peersOf(node.torrent, 1);
  send(socket);
  await closed(socket);
  expect(node.torrent.status().peers).toBe(0);
});

test("false addresses without end are bounded, and do not keep the true one out", async () => {
  const node = await openNode([]);
  const peer = await openNode([]);
  const senders = await Promise.all(Array.from({ length: 8 }, (_, number) => dialAs(node, ours(1_001 + number))));
  await peersOf(node.torrent, 8);
  for (const [number, { socket }] of senders.entries()) {
    for (let message = 0; message < 10; message++) {
      const added = Array.from({ length: 100 }, (_, entry) => ({
        ...{ host: `127.${number + 1}.${message}.${entry}`, port: 1, flags: 0 },
      }));
      sendPex(socket, { added });
    }
  }
  await eventually(() => node.torrent.status().peersSeen > 900 || undefined, "false addresses");
  expect(node.torrent.status().peersSeen).toBeLessThan(2_100);
  node.torrent.addPeer(peer.endpoint);
  await peersOf(peer.torrent, 1);
});
