/**
 * Memory that replies are read into and sent from, used again and again: a warm buffer is faster than a new one, and new
 * ones would be garbage at the rate of the data. Sizes are powers of two with room for the replies' heads.
 */
import { chunkBytesMax, idleBufferBytesMax } from "./limits.ts";

/** Data that the smallest buffer has room for. */
export const smallestBytes = 4_096;
/** Heads of a few replies: a batch of small ones goes into a larger buffer. */
const headRoomBytes = 128;

export class ReplyBuffers {
  readonly #idle = new Map<number, Buffer[]>();
  #idleBytes = 0;

  /** Memory for at least so many bytes, with anything in it; from `chunkBytesMax` and a head on it is made for the purpose. */
  take(bytes: number): Buffer {
    const capacity = capacityFor(bytes);
    const buffer = this.#idle.get(capacity)?.pop();
    if (!buffer) return Buffer.allocUnsafeSlow(capacity);
    this.#idleBytes -= capacity;
    return buffer;
  }

  /** Gives a buffer back that nobody reads or writes any more. */
  release(buffer: Buffer): void {
    const capacity = buffer.length;
    if (capacity > chunkBytesMax + headRoomBytes || this.#idleBytes + capacity > idleBufferBytesMax) return;
    const idle = this.#idle.get(capacity);
    if (idle) idle.push(buffer);
    else this.#idle.set(capacity, [buffer]);
    this.#idleBytes += capacity;
  }
}

function capacityFor(bytes: number): number {
  if (bytes > chunkBytesMax + headRoomBytes) return bytes;
  let data = smallestBytes;
  while (data + headRoomBytes < bytes) data *= 2;
  return data + headRoomBytes;
}
