/** How a node that knows only the infohash comes by the info dictionary, with peers that are slow, late or false. */
import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { encodeExtensionHandshake, extensionHandshakeId, ourMetadataId } from "../../../swarm/extension.ts";
import { metadataAnswersMin } from "../../../swarm/limits.ts";
import { encodeMetadataMessage, metadataMessageFrom } from "../../../swarm/metadata.ts";
import { infoBytesOf, torrentInfoFromInfoBytes } from "../../../swarm/metainfo.ts";
import { Swarm } from "../../../swarm/swarm.ts";
import type { Torrent } from "../../../swarm/torrent.ts";
import type { AddTorrentOptions, Endpoint, SwarmOptions } from "../../../swarm/types.ts";
import { encodeExtended, encodeHandshake, WireDecoder } from "../../../swarm/wire.ts";
import { ManualClock, until } from "./manual-clock.ts";
import { WirePeer } from "./wire-peer.ts";

/** 2,000 pieces: an info dictionary of three parts. */
const lengthBytes = 2_000 * 16 * 1024;
const info = torrentInfoFromInfoBytes(
  infoBytesOf({ name: "image", lengthBytes, pieceLengthBytes: 16 * 1024, pieceHashes: randomBytes(2_000 * 20) }),
);
const { infoBytes } = info;
const partBytes = 16 * 1024;
/** What a liar claims where nothing is known of the image's length. */
const claimedBytes = 1024 * 1024;

let folder: string;
let closers: (() => Promise<void>)[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "bootswarm-metadata-"));
  closers = [];
});

afterEach(async () => {
  for (const close of closers.reverse()) await close();
  await rm(folder, { recursive: true });
});

async function openSwarm(options: Partial<SwarmOptions> = {}): Promise<Swarm> {
  const swarm = await Swarm.open({ host: "127.0.0.1", port: 0, dhtPort: 0, ...options });
  closers.push(() => swarm.close());
  return swarm;
}

async function openPeer(fields: Partial<WirePeer> = {}): Promise<WirePeer> {
  const peer = await WirePeer.listen(info.infohash, fields);
  closers.push(() => peer.close());
  return peer;
}

/** A peer that answers every request from the true info dictionary. */
async function openHonest(): Promise<WirePeer> {
  const peer = await openPeer({ metadataBytes: infoBytes.length });
  peer.onRequest = peer.answerFrom(infoBytes);
  return peer;
}

/** A peer that claims a size and answers each request with noise, one part for each call of `drip`. */
async function openLiar(metadataBytes: number): Promise<{ peer: WirePeer; drip: () => void }> {
  const peer = await openPeer({ metadataBytes });
  const waiting: (() => void)[] = [];
  peer.onRequest = (part, socket) => {
    const bytes = randomBytes(Math.min(partBytes, metadataBytes - part * partBytes));
    waiting.push(() => peer.sendMetadata(socket, { type: "data", part, totalBytes: metadataBytes, bytes }));
  };
  return { peer, drip: () => waiting.shift()?.() };
}

function leech(swarm: Swarm, peers: Endpoint[], options: Partial<AddTorrentOptions> = {}): Torrent {
  const dataPath = join(folder, `leech-${swarm.peerPort}`);
  return swarm.add({ infohash: info.infohash, dataPath, havePath: `${dataPath}.have`, peers, ...options });
}

async function leechByClock(peers: Endpoint[], options: Partial<AddTorrentOptions> = {}) {
  const clock = new ManualClock();
  const swarm = await openSwarm({ clock });
  const torrent = leech(swarm, peers, options);
  await clock.advance(0);
  return { clock, torrent };
}

test("a peer that let its time pass is asked again on the same connection", async () => {
  const peer = await openPeer({ metadataBytes: infoBytes.length });
  const { clock, torrent } = await leechByClock([peer.endpoint]);
  await until(() => peer.requests.length === 3);
  peer.onRequest = peer.answerFrom(infoBytes);
  await clock.advanceUntil(() => torrent.info !== undefined, 15_000);
  expect(peer.requests).toEqual([0, 1, 2, 0, 1, 2]);
  expect(peer.connections).toBe(1);
});

test("a peer that refused is asked again on the same connection", async () => {
  const peer = await openPeer({ metadataBytes: infoBytes.length });
  peer.onRequest = (part, socket) => peer.sendMetadata(socket, { type: "reject", part });
  const { clock, torrent } = await leechByClock([peer.endpoint]);
  await until(() => peer.requests.length === 3);
  await clock.advance(1_000);
  peer.onRequest = peer.answerFrom(infoBytes);
  await clock.advanceUntil(() => torrent.info !== undefined, 15_000);
  expect(peer.connections).toBe(1);
});

test("what comes late from a peer is taken all the same", async () => {
  const peer = await openPeer({ metadataBytes: infoBytes.length });
  const late: (() => void)[] = [];
  peer.onRequest = (part, socket) => void late.push(() => peer.answerFrom(infoBytes)(part, socket));
  const { clock, torrent } = await leechByClock([peer.endpoint]);
  await until(() => late.length === 3);
  await clock.advance(6_000);
  for (const answer of late.splice(0)) answer();
  await until(() => torrent.info !== undefined);
  expect(peer.requests).toEqual([0, 1, 2]);
});

test("a peer that refuses for ever is asked ever less often, but never given up", async () => {
  const peer = await openPeer({ metadataBytes: infoBytes.length });
  peer.onRequest = (part, socket) => peer.sendMetadata(socket, { type: "reject", part });
  const { clock } = await leechByClock([peer.endpoint]);
  await until(() => peer.requests.length >= 3);
  await clock.advance(60_000);
  expect(peer.requests.length).toBeLessThanOrEqual(5 * 3);
  const before = peer.requests.length;
  await clock.advanceUntil(() => peer.requests.length > before, 35_000);
});

test("a node that learns the metadata tells peers that still lack it", async () => {
  const data = randomBytes(300_000);
  const pieceHashes = Buffer.concat(
    Array.from({ length: 5 }, (_, at) =>
      createHash("sha1")
        .update(data.subarray(at * 65_536, (at + 1) * 65_536))
        .digest(),
    ),
  );
  const small = torrentInfoFromInfoBytes(
    infoBytesOf({ name: "image", lengthBytes: data.length, pieceLengthBytes: 65_536, pieceHashes }),
  );
  const [seeder, first, second] = [await openSwarm(), await openSwarm(), await openSwarm()];
  const endpointOf = (swarm: Swarm) => ({ host: "127.0.0.1", port: swarm.peerPort });
  const { infohash } = small;
  const near = leech(first, [], { infohash });
  const far = leech(second, [endpointOf(first)], { infohash });
  await until(() => near.status().peers === 1 && far.status().peers === 1);
  await writeFile(join(folder, "seed"), data);
  seeder.add({ infohash, info: small, dataPath: join(folder, "seed"), complete: true });
  near.addPeer(endpointOf(seeder));
  await until(() => far.status().complete);
  expect(far.info?.infohash).toBe(infohash);
});

test("a peer's second extension handshake adds to the first, and takes nothing away", async () => {
  let connection: Socket | undefined;
  const peer = await openPeer({ metadataBytes: infoBytes.length });
  peer.onHandshake = (socket) => {
    connection = socket;
  };
  const { clock, torrent } = await leechByClock([peer.endpoint]);
  await until(() => peer.requests.length === 3);
  // As clients send it when only their request queue has changed.
  connection?.write(encodeExtended(extensionHandshakeId, Buffer.from("d1:md11:ut_metadatai1ee4:reqqi50ee")));
  connection?.write(encodeExtended(extensionHandshakeId, Buffer.from("d4:reqqi60ee")));
  await clock.advance(1_000);
  peer.onRequest = peer.answerFrom(infoBytes);
  await clock.advanceUntil(() => torrent.info !== undefined, 15_000);
});

test("a peer that gets the metadata later is asked once it says so", async () => {
  let connection: Socket | undefined;
  const peer = await openPeer();
  peer.onHandshake = (socket) => {
    connection = socket;
  };
  peer.onRequest = peer.answerFrom(infoBytes);
  const { torrent } = await leechByClock([peer.endpoint]);
  await until(() => torrent.status().peers === 1);
  const handshake = encodeExtensionHandshake({ peerPort: peer.endpoint.port, metadataBytes: infoBytes.length });
  connection?.write(encodeExtended(extensionHandshakeId, handshake));
  await until(() => torrent.info !== undefined);
});

test("a liar that drips a large dictionary holds up nobody else", async () => {
  const liar = await openLiar(claimedBytes);
  const { torrent } = await leechByClock([liar.peer.endpoint]);
  await until(() => liar.peer.requests.length > 0);
  const honest = await openHonest();
  torrent.addPeer(honest.endpoint);
  await until(() => torrent.info !== undefined);
});

test("as many liars as are asked at once lose their turn after seconds, however steadily they drip", async () => {
  const liars = await Promise.all(Array.from({ length: 3 }, () => openLiar(claimedBytes)));
  const { clock, torrent } = await leechByClock(liars.map(({ peer }) => peer.endpoint));
  await until(() => liars.every(({ peer }) => peer.requests.length > 0));
  const honest = await openHonest();
  torrent.addPeer(honest.endpoint);
  await until(() => torrent.status().peers === 4);
  const dripAndLook = () => {
    // Every two seconds: often enough for the wait for each part.
    if (clock.now() % 2_000 === 0) for (const { drip } of liars) drip();
    return torrent.info !== undefined;
  };
  const tookMs = await clock.advanceUntil(dripAndLook, 60_000);
  expect(tookMs).toBeLessThan(16_000);
});

test("a dictionary larger than the image's length allows is not asked for", async () => {
  const liar = await openLiar(claimedBytes);
  const { clock, torrent } = await leechByClock([liar.peer.endpoint], { expectedLengthBytes: lengthBytes });
  await until(() => torrent.status().peers === 1);
  await clock.advance(20_000);
  expect(liar.peer.requests).toEqual([]);
  const honest = await openHonest();
  torrent.addPeer(honest.endpoint);
  await until(() => torrent.info !== undefined);
});

test("a peer whose dictionary is not the infohash's is struck off", async () => {
  const liar = await openLiar(infoBytes.length);
  const { clock, torrent } = await leechByClock([liar.peer.endpoint]);
  await until(() => liar.peer.requests.length === 3);
  for (let part = 0; part < 3; part++) liar.drip();
  await until(() => torrent.status().peers === 0);
  await clock.advance(120_000);
  torrent.addPeer(liar.peer.endpoint);
  await clock.advance(1_000);
  expect(liar.peer.connections).toBe(1);
});

test("a ut_metadata message of an unknown type is passed over", async () => {
  const peer = await openHonest();
  const unknown = Buffer.from("d8:msg_typei9e5:piecei0ee");
  peer.onHandshake = (socket) => void socket.write(encodeExtended(1, unknown));
  const { torrent } = await leechByClock([peer.endpoint]);
  await until(() => torrent.info !== undefined);
  expect(peer.connections).toBe(1);
});

test("who asks for parts again and again and reads nothing is refused most, and each request is answered", async () => {
  const swarm = await openSwarm();
  const dataPath = join(folder, "seed");
  // Its dictionary has almost a thousand parts; twice that may be asked for.
  const pieceCount = 800_000;
  const pieceLengthBytes = 16 * 1024;
  const pieceHashes = Buffer.alloc(20 * pieceCount, 1);
  const lengthBytes = pieceCount * pieceLengthBytes;
  const info = torrentInfoFromInfoBytes(infoBytesOf({ name: "image", lengthBytes, pieceLengthBytes, pieceHashes }));
  swarm.add({ infohash: info.infohash, info, dataPath, havePath: `${dataPath}.have` });
  const requestsSent = 1_900;
  const answers = { data: 0, reject: 0, request: 0 };
  const socket = connect(swarm.peerPort, "127.0.0.1");
  closers.push(async () => void socket.destroy());
  socket.pause();
  const request = encodeExtended(ourMetadataId, encodeMetadataMessage({ type: "request", part: 0 }));
  const handshake = encodeExtensionHandshake({ peerPort: 1, metadataBytes: 0 });
  socket.write(encodeHandshake(info.infohash, randomBytes(20)));
  socket.write(encodeExtended(extensionHandshakeId, handshake));
  const taken = Promise.withResolvers<void>();
  socket.write(Buffer.concat(Array.from({ length: requestsSent }, () => request)), () => taken.resolve());
  await taken.promise;
  // What was asked for is many times what all buffers between the two hold.
  const decoder = new WireDecoder(
    {
      onHandshake: () => {},
      onMessage: (message) => {
        if (message.type !== "extended" || message.id !== ourMetadataId) return;
        const answer = metadataMessageFrom(message.payload);
        if (answer) answers[answer.type]++;
      },
      onBlockStart: () => undefined,
      onBlockEnd: () => {},
    },
    { bitfieldBytesMax: 1_000 },
  );
  socket.on("data", (chunk) => decoder.push(chunk));
  socket.resume();
  await until(() => answers.data + answers.reject === requestsSent);
  expect(Math.min(answers.data, answers.reject)).toBeGreaterThan(0);
});

test("who asks for many times the parts that there are is struck off", async () => {
  const swarm = await openSwarm();
  const dataPath = join(folder, "seed");
  swarm.add({ infohash: info.infohash, info, dataPath, havePath: `${dataPath}.have` });
  const socket = connect(swarm.peerPort, "127.0.0.1");
  closers.push(async () => void socket.destroy());
  socket.on("error", () => {});
  const request = encodeExtended(ourMetadataId, encodeMetadataMessage({ type: "request", part: 1_000_000 }));
  socket.write(encodeHandshake(info.infohash, randomBytes(20)));
  socket.resume();
  socket.write(Buffer.concat(Array.from({ length: 4 * metadataAnswersMin }, () => request)));
  await until(() => socket.closed);
});
