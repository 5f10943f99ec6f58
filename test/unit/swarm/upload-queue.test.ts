import { EventEmitter } from "node:events";
import { expect, test } from "vitest";
import { blockBytes, peerRequestsMax, sendMemoryBytesMax } from "../../../swarm/limits.ts";
import { RateLimit } from "../../../swarm/rate.ts";
import { batchBytesMax, slabBytesFor } from "../../../swarm/send-slabs.ts";
import type { PeerSocket } from "../../../swarm/types.ts";
import { UploadQueue } from "../../../swarm/upload-queue.ts";
import { ManualClock } from "./manual-clock.ts";

/** A socket whose other end reads only when it is told to. */
class UnreadSocket extends EventEmitter {
  readonly waiting: { bytes: Uint8Array; taken: () => void }[] = [];
  written = 0;

  get writableLength(): number {
    return this.waiting.reduce((sum, { bytes }) => sum + bytes.length, 0);
  }

  write(bytes: Uint8Array, taken: () => void = () => {}): void {
    this.written++;
    this.waiting.push({ bytes, taken });
  }

  readAll(): void {
    for (const { taken } of this.waiting.splice(0)) taken();
  }
}

/** Requests of which no two are sent together. */
const scattered = (length: number) =>
  Array.from({ length: peerRequestsMax }, (_, count) => ({ index: count, begin: 0, length }));
/** Requests that are sent sixteen at a time. */
const neighbours = Array.from({ length: peerRequestsMax }, (_, count) => ({
  ...{ index: Math.floor(count / 16), begin: (count % 16) * blockBytes, length: blockBytes },
}));

test.each([
  ["single bytes", scattered(1), sendMemoryBytesMax],
  ["scattered blocks", scattered(blockBytes), sendMemoryBytesMax],
  ["what just does not fit into a small slab", scattered(blockBytes + 1), sendMemoryBytesMax],
  ["whole pieces", neighbours, sendMemoryBytesMax],
  ["whole pieces, one of a thousand peers", neighbours, slabBytesFor(batchBytesMax)],
])(
  "a peer that asks for %s and does not read holds little memory, and all is answered once it reads",
  async (_name, blocks, memoryBytesMax) => {
    const socket = new UnreadSocket();
    const clock = new ManualClock();
    let sentBytes = 0;
    const queue = new UploadQueue({
      socket: socket as unknown as PeerSocket,
      clock,
      limit: new RateLimit(0, clock.now()),
      memoryBytesMax: () => memoryBytesMax,
      after: (delayMs, run) => void clock.after(delayMs, run),
      write: (slab, end, taken) => socket.write(slab.subarray(0, end), taken),
      onSent: (bytes) => {
        sentBytes += bytes;
      },
      onReadError: (_blocks, error) => {
        throw error;
      },
    });
    queue.readBlocks = async () => {};
    for (const block of blocks) queue.push(block);
    const settled = () => new Promise((resolve) => setImmediate(resolve));
    await settled();
    const held = new Set(socket.waiting.map(({ bytes }) => bytes.buffer));
    expect([...held].reduce((sum, { byteLength }) => sum + byteLength, 0)).toBeLessThanOrEqual(memoryBytesMax);
    const wantedBytes = blocks.reduce((sum, { length }) => sum + length, 0);
    while (sentBytes < wantedBytes) {
      const { written } = socket;
      socket.readAll();
      await settled();
      expect(socket.written).toBeGreaterThan(written);
    }
  },
);
