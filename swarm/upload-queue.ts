/**
 * The blocks that one peer has asked for and not yet got. They are sent in batches of neighbours: one read from the
 * disk and one write to the socket each, from memory that is used again.
 */
import { peerRequestsMax, sendMemoryBytesMax } from "./limits.ts";
import type { RateLimit } from "./rate.ts";
import { batchBytesMax, giveSlab, slabBytesFor, takeSlab } from "./send-slabs.ts";
import type { Clock, PeerSocket } from "./types.ts";
import { type Block, pieceHeadBytes, writePieceHead } from "./wire.ts";

/**
 * Fills each of the buffers with the bytes that follow those of the one before, from the first block's begin on; at once
 * where it returns no promise.
 */
export type ReadBlocks = (first: Block, buffers: readonly Uint8Array[]) => Promise<void> | undefined;

export interface UploadQueueOptions {
  socket: PeerSocket;
  clock: Clock;
  limit: RateLimit;
  /** Memory that blocks may hold which the socket has not taken; one batch may in any case. */
  memoryBytesMax: () => number;
  /** Calls `run` after a while, unless the connection is over by then. */
  after: (delayMs: number, run: () => void) => void;
  /**
   * Writes the first `end` bytes of a slab, which has `tailBytesMax` behind them for what is to follow at once; `taken` is
   * called once its memory may be used again.
   */
  write: (slab: Buffer, end: number, taken: () => void) => void;
  /** So many bytes of blocks have been given to the socket. */
  onSent: (bytes: number) => void;
  /** Blocks that cannot be read; they will not be sent. */
  onReadError: (blocks: readonly Block[], error: Error) => void;
}

export class UploadQueue {
  readonly #options: UploadQueueOptions;
  #blocks: Block[] = [];
  #readBlocks: ReadBlocks | undefined;
  #serving = false;
  #closed = false;
  /** Memory of the batches given to the socket that it has not taken yet. */
  #memoryBytes = 0;
  /** Blocks wait for some of it. */
  #isShort = false;

  constructor(options: UploadQueueOptions) {
    this.#options = options;
  }

  /** Where blocks are read; until this is known, they wait. */
  set readBlocks(readBlocks: ReadBlocks) {
    this.#readBlocks = readBlocks;
  }

  /** False if the queue is full, which no client of good will fills. */
  push(block: Block): boolean {
    if (this.#blocks.length >= peerRequestsMax) return false;
    // Requests come several at a time, for neighbouring blocks: they are looked at together, at the end of the turn.
    if (this.#blocks.push(block) === 1) queueMicrotask(() => this.serve());
    return true;
  }

  /** False if the block does not wait here, or not any more. */
  cancel({ index, begin }: Block): boolean {
    const at = this.#blocks.findIndex((block) => block.index === index && block.begin === begin);
    if (at < 0) return false;
    this.#blocks.splice(at, 1);
    return true;
  }

  /** Takes out all blocks that wait. */
  clear(): Block[] {
    const blocks = this.#blocks;
    this.#blocks = [];
    return blocks;
  }

  close(): void {
    this.#closed = true;
    this.#blocks = [];
  }

  /** Sends blocks until the socket or the rate limit has enough. */
  serve(): void {
    if (this.#serving || this.#closed || !this.#readBlocks || this.#blocks.length === 0) return;
    void this.#serveBatches(this.#readBlocks);
  }

  async #serveBatches(readBlocks: ReadBlocks): Promise<void> {
    const { socket, clock, limit, after } = this.#options;
    this.#serving = true;
    while (this.#blocks.length > 0 && !this.#closed && socket.writableLength < sendMemoryBytesMax) {
      const nowMs = clock.now();
      const waitMs = limit.waitMs(nowMs);
      if (waitMs > 0) {
        after(waitMs, () => this.serve());
        break;
      }
      const { count, bytes } = nextBatch(this.#blocks, Math.min(batchBytesMax, limit.burstBytes));
      this.#isShort = this.#memoryBytes > 0 && this.#memoryBytes + slabBytesFor(bytes) > this.#options.memoryBytesMax();
      if (this.#isShort) break;
      const batch = this.#blocks.splice(0, count);
      // Before the read, so that other peers' batches see it.
      limit.take(bytesOf(batch), nowMs);
      await this.#send(batch, takeSlab(bytes), readBlocks);
    }
    // In the same turn as the last look at the queue: what comes after it finds nobody serving.
    this.#serving = false;
  }

  async #send(batch: readonly Block[], slab: Buffer, readBlocks: ReadBlocks): Promise<void> {
    const buffers: Uint8Array[] = [];
    let end = 0;
    for (const block of batch) {
      writePieceHead(slab, end, block);
      const start = end + pieceHeadBytes;
      end = start + block.length;
      buffers.push(slab.subarray(start, end));
    }
    try {
      const reading = readBlocks(batch[0] as Block, buffers);
      if (reading) await reading;
    } catch (error) {
      giveSlab(slab);
      if (!this.#closed) this.#options.onReadError(batch, error as Error);
      return;
    }
    if (this.#closed) {
      giveSlab(slab);
      return;
    }
    this.#memoryBytes += slab.length;
    this.#options.write(slab, end, () => {
      giveSlab(slab);
      this.#memoryBytes -= slab.length;
      if (this.#isShort) this.serve();
    });
    this.#options.onSent(bytesOf(batch));
  }
}

/** The first block and those that follow it at once in the same piece, as many as fit into `bytesMax` with their heads. */
function nextBatch(blocks: readonly Block[], bytesMax: number): { count: number; bytes: number } {
  let count = 0;
  let bytes = 0;
  let last: Block | undefined;
  for (const block of blocks) {
    if (last && (block.index !== last.index || block.begin !== last.begin + last.length)) break;
    const more = pieceHeadBytes + block.length;
    if (last && bytes + more > bytesMax) break;
    bytes += more;
    last = block;
    count++;
  }
  return { count, bytes };
}

function bytesOf(blocks: readonly Block[]): number {
  return blocks.reduce((sum, { length }) => sum + length, 0);
}
