/**
 * The content of one boot image in memory, one frame after the other as its file is read. Its frames come in the order of
 * the boot, so whoever boots meanwhile finds what it reads first, or waits for it for a moment.
 */
import { open } from "node:fs/promises";
import type { BootImageHead } from "../../../boot/boot-image.ts";
import { frameBytes, pageBytes } from "../../../boot/limits.ts";
import { readFrames } from "../../../boot/read-file.ts";

export class BootContent {
  /** Sha256 of the boot image. */
  readonly digest: string;
  readonly path: string;
  /** Bytes that it takes once all of it is here. */
  readonly sizeBytes: number;
  /** Resolves once it is all here, has failed or was dropped. */
  readonly settled: Promise<void>;
  #frames: Uint8Array[] = [];
  #ended = false;
  /** Those who wait for a frame. */
  #waiting: (() => void)[] = [];

  /**
   * Begins to load the frames.
   *
   * @param onFailed told, with why, if the file is not what its head says, or cannot be read; nothing of it is kept then
   */
  constructor(
    digest: string,
    path: string,
    head: BootImageHead,
    headBytes: number,
    onFailed: (error: unknown) => void,
  ) {
    this.digest = digest;
    this.path = path;
    this.sizeBytes = head.contentPages * pageBytes;
    this.settled = this.#load(head, headBytes).catch((error: unknown) => {
      this.drop();
      onFailed(error);
    });
  }

  /** Gives the memory free; whoever reads goes elsewhere from now on. */
  drop(): void {
    this.#ended = true;
    this.#frames = [];
    this.#wake();
  }

  /** Fills `target` with the content from `offset` on; false if that is not here. */
  copy(target: Uint8Array, offset: number): boolean {
    for (let done = 0; done < target.length; ) {
      const frame = this.#frames[Math.floor((offset + done) / frameBytes)];
      if (!frame) return false;
      const at = (offset + done) % frameBytes;
      const bytes = frame.subarray(at, at + target.length - done);
      target.set(bytes, done);
      done += bytes.length;
    }
    return true;
  }

  /** Whether bytes are here, or soon will be without anybody's help. */
  isComing(offset: number, length: number): boolean {
    return !this.#ended || this.#frames.length * frameBytes >= Math.min(offset + length, this.sizeBytes);
  }

  /** Resolves to whether bytes are here, once that is certain. */
  async whenHere(offset: number, length: number, signal: AbortSignal): Promise<boolean> {
    const frames = Math.ceil((offset + length) / frameBytes);
    let wake = () => {};
    const onAbort = () => wake();
    signal.addEventListener("abort", onAbort);
    try {
      while (this.#frames.length < frames) {
        if (this.#ended) return false;
        signal.throwIfAborted();
        await new Promise<void>((resolve) => {
          wake = resolve;
          this.#waiting.push(resolve);
        });
      }
      return true;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  async #load(head: BootImageHead, headBytes: number): Promise<void> {
    await using file = await open(this.path);
    for await (const frame of readFrames(file, head, headBytes)) {
      if (this.#ended) return;
      this.#frames.push(frame);
      this.#wake();
    }
    this.#ended = true;
    this.#wake();
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
