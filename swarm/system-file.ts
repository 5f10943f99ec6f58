/**
 * A file of the system's. What a small write costs a thread of libuv's pool, there and back, is several times what the
 * write itself costs while the kernel takes it into its memory. So small writes are made at once, until one has to wait:
 * a busy disk, a full journal. For some time from then on, threads do the waiting, and the program goes on.
 */
import { readvSync, writeSync } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import type { DiskFile, FileFacts } from "./disk.ts";

/** Larger ones are worth a thread. */
const quickBytesMax = 256 * 1024;
/** A write that took longer had to wait: copying takes microseconds, and other processes' turns some milliseconds. */
const quickMsMax = 100;
/** How long threads write after that; it doubles each time. */
const restMsMin = 10_000;
const restMsMax = 10 * 60_000;

export class SystemFile implements DiskFile {
  readonly #handle: FileHandle;
  #restMs = restMsMin;
  #restUntilMs = 0;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async write(buffer: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesWritten: number }> {
    const startMs = performance.now();
    if (length > quickBytesMax || startMs < this.#restUntilMs) {
      return this.#handle.write(buffer, offset, length, position);
    }
    // Its descriptor is -1 once it is being closed: nobody else's file is written to.
    const bytesWritten = writeSync(this.#handle.fd, buffer, offset, length, position);
    const nowMs = performance.now();
    if (nowMs - startMs > quickMsMax) {
      this.#restUntilMs = nowMs + this.#restMs;
      this.#restMs = Math.min(2 * this.#restMs, restMsMax);
    }
    return { bytesWritten };
  }

  read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesRead: number }> {
    return this.#handle.read(buffer, offset, length, position);
  }

  readv(buffers: Uint8Array[], position: number): Promise<{ bytesRead: number }> {
    return this.#handle.readv(buffers, position);
  }

  readvNow(buffers: readonly Uint8Array[], position: number): number {
    return readvSync(this.#handle.fd, buffers, position);
  }

  datasync(): Promise<void> {
    return this.#handle.datasync();
  }

  sync(): Promise<void> {
    return this.#handle.sync();
  }

  truncate(length: number): Promise<void> {
    return this.#handle.truncate(length);
  }

  stat(): Promise<FileFacts> {
    return this.#handle.stat();
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}
