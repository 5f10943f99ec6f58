import { EventEmitter } from "node:events";
import { expect, test } from "vitest";
import { peerRequestsMax, writesPendingMax } from "../../../swarm/limits.ts";
import { RateLimit } from "../../../swarm/rate.ts";
import { slabBytes } from "../../../swarm/send-slabs.ts";
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

test("requests for single bytes hold no more memory than others while the peer does not read, and all are answered", async () => {
  const socket = new UnreadSocket();
  const clock = new ManualClock();
  const queue = new UploadQueue({
    socket: socket as unknown as PeerSocket,
    clock,
    limit: new RateLimit(0, clock.now()),
    after: (delayMs, run) => void clock.after(delayMs, run),
    write: (slab, end, taken) => socket.write(slab.subarray(0, end), taken),
    onSent: () => {},
    onReadError: (_blocks, error) => {
      throw error;
    },
  });
  queue.readBlocks = async () => {};
  // Every other byte, so that no two are sent together.
  for (let count = 0; count < peerRequestsMax; count++) queue.push({ index: 0, begin: 2 * count, length: 1 });
  const settled = () => new Promise((resolve) => setImmediate(resolve));
  await settled();
  const held = new Set(socket.waiting.map(({ bytes }) => bytes.buffer));
  expect([...held].reduce((sum, { byteLength }) => sum + byteLength, 0)).toBeLessThanOrEqual(
    writesPendingMax * slabBytes,
  );
  while (socket.written < peerRequestsMax) {
    const { written } = socket;
    socket.readAll();
    await settled();
    expect(socket.written).toBeGreaterThan(written);
  }
});
