import { randomBytes } from "node:crypto";
import { once } from "node:events";
import type { Socket } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Bitfield } from "../../../swarm/bitfield.ts";
import {
  encodeBitfield,
  encodeExtended,
  encodeHandshake,
  encodePieceMessages,
  encodeSignal,
} from "../../../swarm/wire.ts";
import { ended, type HostileGround, openHostileGround } from "./hostile-ground.ts";
import { encodeBlockMessage, encodePieceHead } from "./wire-peer.ts";

let ground: HostileGround;

beforeEach(async () => {
  ground = await openHostileGround();
});

afterEach(() => ground.close());

async function greeted(): Promise<Socket> {
  return (await ground.greeted()).socket;
}

const block = { index: 0, begin: 0, length: 16_384 };

test.each([
  ["no BitTorrent", () => Buffer.from("GET / HTTP/1.1\r\n\r\n")],
  ["an unknown torrent", () => encodeHandshake("0".repeat(40), randomBytes(20))],
])("a stranger that speaks %s is turned away", async (_name, bytes) => {
  const socket = ground.dial();
  socket.write(bytes());
  await ended(socket);
  await ground.honestPeerIsServed();
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
  await ended(socket);
  await ground.honestPeerIsServed();
});

test("a peer that asks for thousands of blocks and reads none is dropped, its queue bounded", async () => {
  const socket = await greeted();
  socket.pause();
  socket.write(encodeSignal("interested"));
  const requests = Buffer.concat(Array.from({ length: 5_000 }, () => encodeBlockMessage("request", block)));
  socket.write(requests);
  await ended(socket);
  await ground.honestPeerIsServed();
});

test("a peer that asks for single bytes without end is dropped, though it reads them", async () => {
  const socket = await greeted();
  socket.resume();
  socket.write(encodeSignal("interested"));
  const few = Array.from({ length: 10 }, (_, begin) => encodeBlockMessage("request", { index: 0, begin, length: 1 }));
  // As a reader of the data would: no more are under way than any client has.
  const askOn = () => {
    if (socket.writable) socket.write(Buffer.concat(few));
  };
  socket.on("data", askOn);
  askOn();
  await once(socket, "close");
  await ground.honestPeerIsServed();
});

test("blocks that nobody asked for go nowhere", async () => {
  const { swarm, torrent } = await ground.openLeecher({ withInfo: true });
  const socket = ground.dial("127.0.0.1", swarm.peerPort);
  socket.write(encodeHandshake(ground.info.infohash, randomBytes(20)));
  await once(socket, "data");
  socket.write(Buffer.concat([encodePieceHead(block), Buffer.alloc(block.length, 1)]));
  torrent.addPeer({ host: "127.0.0.1", port: ground.seeder.peerPort });
  await once(torrent, "complete");
  expect(torrent.status().verifyFailures).toBe(0);
});

test("random bytes after a good handshake never end the process or starve others", async () => {
  for (let round = 0; round < 30; round++) {
    const socket = await greeted();
    socket.write(randomBytes(5_000));
    socket.end();
    await ended(socket);
  }
  await ground.honestPeerIsServed();
});

test("a peer may add pieces by as many bitfields as it likes, but take them back only a few times", async () => {
  const { pieceCount } = ground.info;
  const [growing, fickle] = [await greeted(), await greeted()];
  for (let index = 0; index < pieceCount - 1; index++) {
    const field = new Bitfield(pieceCount);
    for (let each = 0; each <= index; each++) field.add(each);
    growing.write(encodeBitfield(field.bytes));
  }
  const some = encodeBitfield(Buffer.from([0x80, 0]));
  for (let count = 0; count < 10; count++) fickle.write(Buffer.concat([some, encodeSignal("haveNone")]));
  await ended(fickle);
  expect(growing.closed).toBe(false);
});
