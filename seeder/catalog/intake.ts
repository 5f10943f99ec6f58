/**
 * Takes a stream in: to a file, and through the hashes, in one pass. Receiving, writing and hashing overlap; a few blocks
 * of shared memory go round between them, so memory does not depend on the image's size or on who is slow.
 */
import type { FileHandle } from "node:fs/promises";
import { Problem } from "../../daemon/problem.ts";
import type { Hashes, Hashing } from "./hasher.ts";
import { diskProblem } from "./image-files.ts";
import { headBytes } from "./qcow2.ts";

/** Unit of writing and hashing. */
const blockBytes = 1024 * 1024;
/** Blocks of one upload: one fills while others are written and hashed. */
const blocksMax = 4;
/** How much is written before the disk is told to begin: what the sync at the end may still have to wait for. */
const syncEveryBytes = 8 * 1024 * 1024;

export interface Intake {
  sizeBytes: number;
  hashes: Hashes;
  /** The first bytes, `headBytes` of them if there are as many. */
  head: Uint8Array;
}

export interface IntakeOptions {
  /** How many bytes must come, where that is known. */
  sizeBytes?: number | undefined;
  /** Called once with the first bytes, to refuse an image early by throwing. */
  checkHead: (head: Uint8Array) => void;
  signal: AbortSignal;
}

/**
 * Writes all of `bytes` to `file` and hashes it. A chunk is not looked at any more once the next is asked for, nor is the
 * file used when this settles.
 *
 * @throws Problem "data-loss" for another size than given, "exhausted" for a full disk; what `checkHead` or `bytes` throw.
 */
export async function takeIn(
  bytes: AsyncIterable<Uint8Array>,
  file: FileHandle,
  hashing: Hashing,
  options: IntakeOptions,
): Promise<Intake> {
  const pipeline = new BlockPipeline(file, hashing);
  const head = Buffer.alloc(headBytes);
  let sizeBytes = 0;
  try {
    for await (const chunk of bytes) {
      options.signal.throwIfAborted();
      if (sizeBytes < headBytes) {
        head.set(chunk.subarray(0, headBytes - sizeBytes), sizeBytes);
        if (sizeBytes + chunk.length >= headBytes) options.checkHead(head);
      }
      sizeBytes += chunk.length;
      if (sizeBytes > (options.sizeBytes ?? Number.POSITIVE_INFINITY)) throw wrongSize("more", options.sizeBytes);
      await pipeline.write(chunk);
    }
    options.signal.throwIfAborted();
    if (sizeBytes < (options.sizeBytes ?? 0)) throw wrongSize(`only ${sizeBytes}`, options.sizeBytes);
    await pipeline.end();
  } finally {
    await pipeline.settle();
  }
  return { sizeBytes, hashes: await hashing.finish(), head: head.subarray(0, Math.min(sizeBytes, headBytes)) };
}

function wrongSize(came: string, sizeBytes: number | undefined): Problem {
  return new Problem("data-loss", `${sizeBytes} bytes were announced, but ${came} came; send the image again`);
}

class BlockPipeline {
  readonly #file: FileHandle;
  readonly #hashing: Hashing;
  readonly #free: SharedArrayBuffer[] = [];
  readonly #inFlight = new Set<Promise<void>>();
  #allocated = 0;
  #filling: Uint8Array | undefined;
  #filledBytes = 0;
  #position = 0;
  /** The last write given to the disk. One after the other: a file lets in one writer, and others spin before its lock. */
  #writing: Promise<void> = Promise.resolve();
  #syncing: Promise<void> | undefined;
  #syncedTo = 0;
  #failure: { error: unknown } | undefined;

  constructor(file: FileHandle, hashing: Hashing) {
    this.#file = file;
    this.#hashing = hashing;
  }

  /** Takes a chunk, waiting for disk and hashes where they are behind. */
  async write(chunk: Uint8Array): Promise<void> {
    for (let offset = 0; offset < chunk.length; ) {
      this.#filling ??= await this.#freeBlock();
      const part = chunk.subarray(offset, offset + blockBytes - this.#filledBytes);
      this.#filling.set(part, this.#filledBytes);
      this.#filledBytes += part.length;
      offset += part.length;
      if (this.#filledBytes === blockBytes) this.#dispatch(this.#filling);
    }
  }

  /** Dispatches the last block and waits until all are written and hashed. */
  async end(): Promise<void> {
    if (this.#filling && this.#filledBytes > 0) this.#dispatch(this.#filling);
    await this.settle();
    this.#rethrow();
  }

  /** Waits until nothing is under way, whatever came of it. */
  async settle(): Promise<void> {
    await Promise.all(this.#inFlight);
    await this.#syncing;
  }

  async #freeBlock(): Promise<Uint8Array> {
    this.#rethrow();
    while (this.#free.length === 0 && this.#allocated === blocksMax) {
      await Promise.race(this.#inFlight);
      this.#rethrow();
    }
    let memory = this.#free.pop();
    if (!memory) {
      memory = new SharedArrayBuffer(blockBytes);
      this.#allocated += 1;
    }
    return new Uint8Array(memory);
  }

  #dispatch(block: Uint8Array): void {
    const memory = block.buffer as SharedArrayBuffer;
    const lengthBytes = this.#filledBytes;
    const position = this.#position;
    this.#position += lengthBytes;
    this.#filling = undefined;
    this.#filledBytes = 0;
    this.#writing = this.#writing.then(() => writeAll(this.#file, block.subarray(0, lengthBytes), position));
    const work = Promise.allSettled([this.#writing, this.#hashing.update(memory, lengthBytes)]).then((results) => {
      for (const result of results) if (result.status === "rejected") this.#failure ??= { error: result.reason };
      this.#free.push(memory);
      this.#inFlight.delete(work);
      this.#syncBehind();
    });
    this.#inFlight.add(work);
  }

  #syncBehind(): void {
    if (this.#syncing || this.#failure || this.#position - this.#syncedTo < syncEveryBytes) return;
    this.#syncedTo = this.#position;
    this.#syncing = this.#file
      .datasync()
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .finally(() => {
        this.#syncing = undefined;
      });
  }

  #rethrow(): void {
    if (this.#failure) throw diskProblem(this.#failure.error);
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, written, bytes.length - written, position + written);
    written += bytesWritten;
  }
}
