import type { Range } from "./piece-map.ts";

/** Readers that are followed at once: a guest reads a few files side by side. */
const streamsMax = 8;
/** A reader that goes on within this much of where it was is the same one: it skips, or its reads overtake each other. */
const strideBytesMax = 256 * 1024;
/** What a reader must have read in a row before it is believed. */
const proofBytes = 128 * 1024;
/** Far enough for a link to be busy while the reader reads; more is what the fetch brings by itself. */
const windowBytesMax = 8 * 1024 * 1024;
/** A reader that has rested for so long has probably ended. */
const idleMs = 10_000;

interface Stream {
  nextOffset: number;
  readBytes: number;
  lastMs: number;
}

/**
 * Follows sequential readers of one export, and guesses what they will read: as much again as they have read in a row, so
 * that the guess doubles while it holds.
 */
export class ReadAhead {
  /** The least recent first. */
  #streams: Stream[] = [];

  /** Takes note of a read; true if it belongs to a reader that is followed, whose window has moved with it. */
  note(offset: number, length: number, nowMs: number): boolean {
    const end = offset + length;
    const index = this.#streams.findIndex(
      ({ nextOffset }) => Math.abs(offset - nextOffset) <= strideBytesMax && end > nextOffset,
    );
    if (index < 0) {
      this.#streams.push({ nextOffset: end, readBytes: length, lastMs: nowMs });
      if (this.#streams.length > streamsMax) this.#streams.shift();
      return false;
    }
    const [stream] = this.#streams.splice(index, 1) as [Stream];
    stream.nextOffset = end;
    stream.readBytes += length;
    stream.lastMs = nowMs;
    this.#streams.push(stream);
    return stream.readBytes >= proofBytes;
  }

  /** What readers that have proved themselves will want next, within the disk. */
  windows(sizeBytes: number, nowMs: number): Range[] {
    this.#streams = this.#streams.filter(({ lastMs }) => nowMs - lastMs < idleMs);
    return this.#streams.flatMap(({ nextOffset, readBytes }) => {
      const length = Math.min(readBytes, windowBytesMax, sizeBytes - nextOffset);
      return readBytes >= proofBytes && length > 0 ? [{ offset: nextOffset, length }] : [];
    });
  }
}
