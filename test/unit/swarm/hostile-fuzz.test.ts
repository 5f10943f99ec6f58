/** The codec and live torrents under streams that are damaged, false or noise. Seeds are fixed: a run repeats itself. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import type { Socket } from "node:net";
import fc from "fast-check";
import { afterEach, expect, test, vi } from "vitest";
import { blockBytesMax, controlMessageBytesMax } from "../../../swarm/limits.ts";
import { encodeHandshake, WireDecoder, WireError } from "../../../swarm/wire.ts";
import { ended, type HostileGround, openHostileGround } from "./hostile-ground.ts";
import { cuts, cutUp, hostileStream } from "./hostile-streams.ts";

const infohash = "0123456789abcdef0123456789abcdef01234567";
const bitfieldBytesMax = 64;

/** All that a decoder tells of a stream, and how it ends. */
function decode(chunks: readonly Buffer[]): unknown[] {
  const told: unknown[] = [];
  let target: Buffer | undefined;
  const wire = new WireDecoder(
    {
      onHandshake: () => {},
      onMessage: (message) => told.push(JSON.stringify(message)),
      onBlockStart: (_index, _begin, length) => {
        expect(length).toBeLessThanOrEqual(blockBytesMax);
        target = Buffer.alloc(length);
        return target;
      },
      onBlockEnd: (index, begin, length, kept) => told.push([index, begin, length, kept, target?.toString("hex")]),
    },
    { bitfieldBytesMax },
  );
  wire.push(encodeHandshake(infohash, Buffer.alloc(20)));
  try {
    for (const chunk of chunks) wire.push(Buffer.from(chunk));
  } catch (error) {
    expect(error).toBeInstanceOf(WireError);
    told.push((error as Error).message);
  }
  return told;
}

afterEach(() => void vi.restoreAllMocks());

test("a damaged stream ends in a WireError at worst, whatever the chunks in which it comes, and all say the same", () => {
  fc.assert(
    fc.property(hostileStream, cuts, (stream, lengths) => {
      const whole = decode([stream]);
      expect(decode(cutUp(stream, lengths))).toEqual(whole);
      expect(decode(cutUp(stream, [1]))).toEqual(whole);
    }),
    { seed: 1, numRuns: 400 },
  );
});

test("no announced length makes the decoder allocate beyond its bounds", () => {
  const allocate = vi.spyOn(Buffer, "allocUnsafe");
  const head = Buffer.alloc(17);
  for (let id = 0; id < 256; id++) {
    for (const length of [1, 2 ** 10, 2 ** 16, 2 ** 17, 2 ** 20, 2 ** 31, 2 ** 32 - 1]) {
      head.writeUInt32BE(length, 0);
      head[4] = id;
      decode([head]);
    }
  }
  const sizes = allocate.mock.calls.map(([bytes]) => bytes);
  expect(Math.max(...sizes)).toBeLessThanOrEqual(Math.max(controlMessageBytesMax, blockBytesMax));
});

/** Connects, greets, sends a stream in chunks, and waits until the other side has seen its end. */
async function attack(socket: Socket, ground: HostileGround, chunks: readonly Buffer[]): Promise<void> {
  socket.write(encodeHandshake(ground.info.infohash, randomBytes(20)));
  for (const chunk of chunks) socket.write(chunk);
  socket.end();
  await ended(socket);
}

test("damaged streams do a seed no harm, and it serves others", async () => {
  const ground = await openHostileGround();
  try {
    await fc.assert(
      fc.asyncProperty(hostileStream, cuts, (stream, lengths) =>
        attack(ground.dial("127.0.0.2"), ground, cutUp(stream, lengths)),
      ),
      { seed: 2, numRuns: 150 },
    );
    await ground.honestPeerIsServed();
  } finally {
    await ground.close();
  }
});

test.each([true, false])(
  "damaged streams do a leecher no harm (info known: %s), and it gets its torrent",
  async (withInfo) => {
    const ground = await openHostileGround();
    try {
      const { swarm, torrent } = await ground.openLeecher({ withInfo });
      const failed = vi.fn();
      torrent.on("error", failed);
      await fc.assert(
        fc.asyncProperty(hostileStream, cuts, async (stream, lengths) => {
          await attack(ground.dial("127.0.0.2", swarm.peerPort), ground, cutUp(stream, lengths));
        }),
        { seed: 3, numRuns: 150 },
      );
      torrent.addPeer({ host: "127.0.0.1", port: ground.seeder.peerPort });
      await once(torrent, "complete");
      expect(failed).not.toHaveBeenCalled();
      expect(torrent.status().doneBytes).toBe(ground.data.length);
    } finally {
      await ground.close();
    }
  },
);
