/**
 * Notes what is read of an export while a boot is recorded, in the order in which the reads came; nothing otherwise. It is the
 * topmost layer: what a boot reads must not depend on where it was read from.
 */
import type { Disk, Extent } from "./disk.ts";
import type { RecordingProgress } from "./messages.ts";

/** Reads that are noted; a boot has some thousands. */
const readsMax = 1_000_000;
/** The unit in which reads are new: a reader that goes over the same blocks again is no longer booting. */
const blockBytes = 64 * 1024;

interface Recording {
  reads: number[];
  blocks: Set<number>;
  lastNewAtMs: number;
}

export class LogDisk implements Disk {
  readonly sizeBytes: number;
  readonly #below: Disk;
  readonly #nowMs: () => number;
  #recording: Recording | undefined;

  constructor(below: Disk, nowMs: () => number) {
    this.#below = below;
    this.#nowMs = nowMs;
    this.sizeBytes = below.sizeBytes;
  }

  /** Begins a recording, in place of what was recorded before. */
  record(): void {
    this.#recording = { reads: [], blocks: new Set(), lastNewAtMs: this.#nowMs() };
  }

  /** How far the recording is; undefined if there is none. */
  progress(): RecordingProgress | undefined {
    if (!this.#recording) return undefined;
    const { reads, blocks, lastNewAtMs } = this.#recording;
    return { reads: reads.length / 2, blockBytes: blocks.size * blockBytes, quietMs: this.#nowMs() - lastNewAtMs };
  }

  /** Ends the recording: its reads as pairs of offset and length. */
  stop(): Float64Array {
    const reads = Float64Array.from(this.#recording?.reads ?? []);
    this.#recording = undefined;
    return reads;
  }

  preadNow(target: Uint8Array, offset: number, mayTakeTurn: boolean): boolean {
    // Otherwise `pread` follows, and notes it.
    if (!this.#below.preadNow(target, offset, mayTakeTurn)) return false;
    if (this.#recording) this.#note(this.#recording, offset, target.length);
    return true;
  }

  isHere(offset: number, length: number): boolean {
    return this.#below.isHere(offset, length);
  }

  pread(target: Uint8Array, offset: number, signal: AbortSignal): Promise<void> {
    if (this.#recording) this.#note(this.#recording, offset, target.length);
    return this.#below.pread(target, offset, signal);
  }

  extents(offset: number, length: number): Extent[] {
    return this.#below.extents(offset, length);
  }

  #note(recording: Recording, offset: number, length: number): void {
    if (recording.reads.length >= 2 * readsMax) return;
    recording.reads.push(offset, length);
    const { blocks } = recording;
    const before = blocks.size;
    for (let at = Math.floor(offset / blockBytes); at * blockBytes < offset + length; at++) blocks.add(at);
    if (blocks.size > before) recording.lastNewAtMs = this.#nowMs();
  }
}
