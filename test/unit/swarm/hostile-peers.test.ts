import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Bitfield } from "../../../swarm/bitfield.ts";
import { infoBytesOf, torrentInfoFromInfoBytes } from "../../../swarm/metainfo.ts";
import { Swarm } from "../../../swarm/swarm.ts";
import {
  encodeBitfield,
  encodeExtended,
  encodeHandshake,
  encodePieceMessages,
  encodeSignal,
} from "../../../swarm/wire.ts";
import { encodeBlockMessage, encodePieceHead } from "./wire-peer.ts";

const pieceLengthBytes = 64 * 1024;
const data = randomBytes(1_000_000);
const hashes: Buffer[] = [];
for (let at = 0; at < data.length; at += pieceLengthBytes) {
  const piece = data.subarray(at, at + pieceLengthBytes);
  hashes.push(createHash("sha1").update(piece).digest());
}
const info = torrentInfoFromInfoBytes(
  infoBytesOf({ name: "image", lengthBytes: data.length, pieceLengthBytes, pieceHashes: Buffer.concat(hashes) }),
);

let folder: string;
let seeder: Swarm;
let sockets: Socket[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "bootswarm-hostile-"));
  await writeFile(join(folder, "seed"), data);
  seeder = await Swarm.open({ host: "127.0.0.1", port: 0, dhtPort: 0 });
  const torrent = seeder.add({ infohash: info.infohash, info, dataPath: join(folder, "seed"), complete: true });
  await once(torrent, "complete");
  sockets = [];
});

afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  await seeder.close();
  await rm(folder, { recursive: true });
});

async function dial(): Promise<Socket> {
  const socket = connect(seeder.peerPort, "127.0.0.1");
  sockets.push(socket);
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

async function greeted(): Promise<Socket> {
  const socket = await dial();
  socket.write(encodeHandshake(info.infohash, randomBytes(20)));
  await once(socket, "data");
  return socket;
}

const closed = async (socket: Socket) => {
  socket.resume();
  // Not `once`, which takes a reset for a failure: here it is what should happen.
  if (!socket.closed) await new Promise<void>((resolve) => socket.once("close", () => resolve()));
};

async function honestPeerIsServed(): Promise<void> {
  const leecher = await Swarm.open({ host: "127.0.0.1", port: 0, dhtPort: 0 });
  try {
    const dataPath = join(folder, `honest-${leecher.peerPort}`);
    const peers = [{ host: "127.0.0.1", port: seeder.peerPort }];
    const torrent = leecher.add({ infohash: info.infohash, dataPath, havePath: `${dataPath}.have`, peers });
    await once(torrent, "complete");
  } finally {
    await leecher.close();
  }
}

const block = { index: 0, begin: 0, length: 16_384 };

test.each([
  ["no BitTorrent", () => Buffer.from("GET / HTTP/1.1\r\n\r\n")],
  ["an unknown torrent", () => encodeHandshake("0".repeat(40), randomBytes(20))],
])("a stranger that speaks %s is turned away", async (_name, bytes) => {
  const socket = await dial();
  socket.write(bytes());
  await closed(socket);
  await honestPeerIsServed();
});

test.each<[string, () => Buffer]>([
  ["a message of 4 GiB", () => Buffer.from("ffffffff14", "hex")],
  ["a bitfield that does not fit", () => encodeBitfield(Buffer.alloc(900))],
  ["a bitfield with spare bits", () => encodeBitfield(Buffer.alloc(2, 0xff))],
  ["a piece beyond the end", () => encodePieceMessages("have", [1_000_000])],
  ["a request beyond the end", () => encodeBlockMessage("request", { ...block, index: 99_999 })],
  ["a request across a piece's end", () => encodeBlockMessage("request", { ...block, begin: 60_000 })],
  ["a request of 1 MiB", () => encodeBlockMessage("request", { ...block, length: 2 ** 20 })],
  ["an extended message that is not bencoded", () => encodeExtended(0, Buffer.from("garbage"))],
  ["an extended message with a negative length", () => encodeExtended(0, Buffer.from("l-3:"))],
  ["a metadata message with a negative length", () => encodeExtended(1, Buffer.from("d-4:i1ee"))],
  ["an extended message nested without end", () => encodeExtended(0, Buffer.alloc(60_000, "l"))],
  ["a metadata message of no type", () => encodeExtended(1, Buffer.from("de"))],
])("a peer that sends %s is dropped, and others are served", async (_name, bytes) => {
  const socket = await greeted();
  socket.write(bytes());
  await closed(socket);
  await honestPeerIsServed();
});

test("a peer that asks for thousands of blocks and reads none is dropped, its queue bounded", async () => {
  const socket = await greeted();
  socket.pause();
  socket.write(encodeSignal("interested"));
  const requests = Buffer.concat(Array.from({ length: 5_000 }, () => encodeBlockMessage("request", block)));
  socket.write(requests);
  await closed(socket);
  await honestPeerIsServed();
});

test("blocks that nobody asked for go nowhere", async () => {
  const leecher = await Swarm.open({ host: "127.0.0.1", port: 0, dhtPort: 0 });
  try {
    const dataPath = join(folder, "pushed");
    const torrent = leecher.add({ infohash: info.infohash, info, dataPath, havePath: `${dataPath}.have` });
    const socket = connect(leecher.peerPort, "127.0.0.1");
    sockets.push(socket);
    socket.on("error", () => {});
    socket.write(encodeHandshake(info.infohash, randomBytes(20)));
    await once(socket, "data");
    socket.write(Buffer.concat([encodePieceHead(block), Buffer.alloc(block.length, 1)]));
    torrent.addPeer({ host: "127.0.0.1", port: seeder.peerPort });
    await once(torrent, "complete");
    expect(torrent.status().verifyFailures).toBe(0);
  } finally {
    await leecher.close();
  }
});

test("hundreds of connections that say nothing leave room for an honest one", async () => {
  for (let count = 0; count < 300; count++) {
    const socket = connect(seeder.peerPort, "127.0.0.1");
    socket.on("error", () => {});
    sockets.push(socket);
  }
  await Promise.all(sockets.map((socket) => socket.connecting && once(socket, "connect").catch(() => {})));
  expect(sockets.filter((socket) => !socket.destroyed).length).toBeGreaterThan(0);
  // Those beyond the bound are closed; when one of the silent goes, its place is free.
  for (const socket of sockets) socket.destroy();
  await honestPeerIsServed();
});

test("random bytes after a good handshake never end the process or starve others", async () => {
  for (let round = 0; round < 30; round++) {
    const socket = await greeted();
    socket.write(randomBytes(5_000));
    socket.end();
    await closed(socket);
  }
  await honestPeerIsServed();
});

test("a peer may add pieces by as many bitfields as it likes, but take them back only a few times", async () => {
  const [growing, fickle] = [await greeted(), await greeted()];
  for (let index = 0; index < info.pieceCount - 1; index++) {
    const field = new Bitfield(info.pieceCount);
    for (let each = 0; each <= index; each++) field.add(each);
    growing.write(encodeBitfield(field.bytes));
  }
  const some = encodeBitfield(Buffer.from([0x80, 0]));
  for (let count = 0; count < 10; count++) fickle.write(Buffer.concat([some, encodeSignal("haveNone")]));
  await closed(fickle);
  expect(growing.closed).toBe(false);
});
