/** Peers that look like seeds and are not: what they send must neither be kept, nor stop or blame those who are honest. */
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { badPiecesMax } from "../../../swarm/limits.ts";
import { infoBytesOf, torrentInfoFromInfoBytes } from "../../../swarm/metainfo.ts";
import { Swarm } from "../../../swarm/swarm.ts";
import type { Torrent } from "../../../swarm/torrent.ts";
import type { Endpoint } from "../../../swarm/types.ts";
import { type Block, encodeHandshake, encodeSignal, WireDecoder, type WireMessage } from "../../../swarm/wire.ts";
import { eventually } from "../../fixtures/processes.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";
import { encodePieceHead } from "./wire-peer.ts";

const pieceLengthBytes = 32 * 1024;
const data = randomBytes(10 * pieceLengthBytes);
const hashes = Array.from({ length: 10 }, (_, index) =>
  createHash("sha1")
    .update(data.subarray(index * pieceLengthBytes, (index + 1) * pieceLengthBytes))
    .digest(),
);
const info = torrentInfoFromInfoBytes(
  infoBytesOf({ name: "image", lengthBytes: data.length, pieceLengthBytes, pieceHashes: Buffer.concat(hashes) }),
);

let directory: string;

beforeEach(async () => {
  directory = await temporaryDirectory();
});

async function openSwarm(): Promise<Swarm> {
  const swarm = await Swarm.open({ host: "127.0.0.1", port: 0, dhtPort: 0 });
  onTestFinished(() => swarm.close());
  return swarm;
}

async function honestSeed(): Promise<Endpoint> {
  const swarm = await openSwarm();
  const dataPath = join(directory, "seed");
  await writeFile(dataPath, data);
  await once(swarm.add({ infohash: info.infohash, info, dataPath, complete: true }), "complete");
  return { host: "127.0.0.1", port: swarm.peerPort };
}

async function leech(peers: Endpoint[]): Promise<{ swarm: Swarm; torrent: Torrent; dataPath: string }> {
  const swarm = await openSwarm();
  const dataPath = join(directory, "leech");
  const torrent = swarm.add({ infohash: info.infohash, info, dataPath, havePath: `${dataPath}.have`, peers });
  return { swarm, torrent, dataPath };
}

/** Says that it has everything, unchokes whoever comes, and answers requests as it is told. */
async function falseSeed(answer: (block: Block, socket: Socket) => void): Promise<Endpoint> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    const decoder = new WireDecoder(
      {
        onHandshake: () => {
          socket.write(encodeHandshake(info.infohash, randomBytes(20)));
          socket.write(Buffer.concat([encodeSignal("haveAll"), encodeSignal("unchoke")]));
        },
        onMessage: (message: WireMessage) => {
          if (message.type === "request") answer(message, socket);
        },
        onBlockStart: () => undefined,
        onBlockEnd: () => {},
      },
      { bitfieldBytesMax: 100 },
    );
    socket.on("data", (chunk) => decoder.push(chunk));
    onTestFinished(() => void socket.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return { host: "127.0.0.1", port: (server.address() as { port: number }).port };
}

const pieceMessage = (block: Block, bytes: Uint8Array) =>
  Buffer.concat([encodePieceHead({ ...block, length: bytes.length }), bytes]);
const goodBytes = ({ index, begin, length }: Block) => {
  const start = index * pieceLengthBytes + begin;
  return data.subarray(start, start + length);
};

async function expectWhole({ torrent, dataPath }: { torrent: Torrent; dataPath: string }): Promise<void> {
  if (!torrent.status().complete) await once(torrent, "complete");
  expect((await readFile(dataPath)).equals(data)).toBe(true);
}

test("blocks of another length than asked lose nothing: the honest seed is asked for them", async () => {
  const answered = Array.from({ length: 3 }, () => Promise.withResolvers<void>());
  const peers = await Promise.all(
    answered.map(({ resolve }) =>
      falseSeed((block, socket) => {
        socket.end(pieceMessage(block, Buffer.alloc(1)), () => resolve());
      }),
    ),
  );
  const leecher = await leech(peers);
  await Promise.all(answered.map(({ promise }) => promise));
  leecher.torrent.addPeer(await honestSeed());
  await expectWhole(leecher);
});

test("one bad block in each of many pieces, and then silence, does not turn the honest seed into a suspect", async () => {
  const spoilt = new Set<number>();
  const spoiler = await falseSeed((block, socket) => {
    // The first block of each piece asked is bad; the rest is left to others.
    if (spoilt.has(block.index)) return;
    spoilt.add(block.index);
    socket.write(pieceMessage(block, randomBytes(block.length)));
    if (spoilt.size === 4) setImmediate(() => socket.destroy());
  });
  const leecher = await leech([spoiler]);
  await eventually(
    () => (spoilt.size >= 4 && leecher.torrent.status().peers === 0) || undefined,
    "four pieces are spoilt and the spoiler is gone",
  );
  const honest = await honestSeed();
  leecher.torrent.addPeer(honest);
  await expectWhole(leecher);
  expect(leecher.torrent.status().verifyFailures).toBeGreaterThan(0);
});

test("a spoiler does not turn a source of good bytes into a suspect either", async () => {
  const spoilt = new Set<number>();
  const spoiler = await falseSeed((block, socket) => {
    if (spoilt.has(block.index)) return;
    spoilt.add(block.index);
    socket.write(pieceMessage(block, randomBytes(block.length)));
  });
  const leecher = await leech([spoiler]);
  await eventually(() => spoilt.size > 0 || undefined, "a piece is spoilt");
  leecher.torrent.addSource({
    name: "good",
    requestsMax: 2,
    read: async (offset, length) => data.subarray(offset, offset + length),
  });
  await expectWhole(leecher);
});

test("bytes that nobody asked for are no progress, and too many of them end the connection", async () => {
  const seed = await falseSeed((block, socket) => {
    const junk = pieceMessage({ index: block.index, begin: block.begin + 1, length: 0 }, Buffer.alloc(16_384));
    for (let count = 0; count < 1_000; count++) socket.write(junk);
  });
  const leecher = await leech([seed]);
  await new Promise<void>((resolve) => {
    let met = false;
    const look = () => {
      const { peers } = leecher.torrent.status();
      met ||= peers > 0;
      return met && peers === 0 ? resolve() : void setImmediate(look);
    };
    look();
  });
  expect(leecher.torrent.status().swarmBytes).toBe(0);
  leecher.torrent.addPeer(await honestSeed());
  await expectWhole(leecher);
});

test("a source ends what a slow peer holds, though the peer still has blocks to be asked for", async () => {
  const slow = await falseSeed((block, socket) => {
    if (block.begin === 0) socket.write(pieceMessage(block, goodBytes(block)));
  });
  const leecher = await leech([slow]);
  await eventually(() => leecher.torrent.status().swarmBytes > 0 || undefined, "the slow peer sends");
  leecher.torrent.addSource({
    name: "good",
    requestsMax: 2,
    read: async (offset, length) => data.subarray(offset, offset + length),
  });
  await expectWhole(leecher);
});

test("nodes that are complete part from each other", async () => {
  const seed = await honestSeed();
  const one = await leech([seed]);
  await expectWhole(one);
  const other = await openSwarm();
  const dataPath = join(directory, "other");
  const peers = [seed, { host: "127.0.0.1", port: one.swarm.peerPort }];
  const torrent = other.add({ infohash: info.infohash, info, dataPath, havePath: `${dataPath}.have`, peers });
  await expectWhole({ torrent, dataPath });
  await eventually(() => torrent.status().peers + one.torrent.status().peers === 0 || undefined, "both have parted");
});

test("a peer that leaves after each bad piece and comes back is struck off at the third all the same", async () => {
  const leecher = await leech([]);
  const peerId = randomBytes(20);
  let isTurnedAway = false;
  while (!isTurnedAway) isTurnedAway = !(await sendsBadPiece(leecher.swarm.peerPort, peerId));
  expect(leecher.torrent.status().verifyFailures).toBe(badPiecesMax);
  leecher.torrent.addPeer(await honestSeed());
  await expectWhole(leecher);
});

/** Comes as a seed, answers all requests for the first piece asked for with zeros, and leaves; false if it is not let in. */
function sendsBadPiece(port: number, peerId: Uint8Array): Promise<boolean> {
  return new Promise((resolve) => {
    let isGreeted = false;
    let sentBytes = 0;
    const socket = connect(port, "127.0.0.1");
    const decoder = new WireDecoder(
      {
        onHandshake: () => {
          isGreeted = true;
          socket.write(Buffer.concat([encodeSignal("haveAll"), encodeSignal("unchoke")]));
        },
        onMessage: (message: WireMessage) => {
          if (message.type !== "request" || sentBytes === pieceLengthBytes) return;
          sentBytes += message.length;
          const bytes = pieceMessage(message, Buffer.alloc(message.length));
          if (sentBytes === pieceLengthBytes) socket.end(bytes);
          else socket.write(bytes);
        },
        onBlockStart: () => undefined,
        onBlockEnd: () => {},
      },
      { bitfieldBytesMax: 100 },
    );
    socket.on("error", () => {});
    socket.on("data", (chunk) => decoder.push(chunk));
    socket.on("close", () => resolve(isGreeted));
    socket.write(encodeHandshake(info.infohash, peerId));
  });
}
