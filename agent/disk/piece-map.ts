import type { Extent } from "./disk.ts";
import type { HostedImage } from "./messages.ts";

/** A byte range. */
export interface Range {
  offset: number;
  length: number;
}

/** Pieces that are looked at for one answer about holes: whoever asks about more asks on from where it ends. */
const extentPiecesMax = 4_096;

/**
 * Which bytes of an image are here, from the bits that the main thread sets in shared memory. Its answers change by
 * themselves, and only the main thread takes a bit back (a piece that a check found damaged).
 */
export class PieceMap {
  readonly #image: HostedImage;
  readonly #have: Uint8Array | undefined;
  readonly #zero: Uint8Array | undefined;
  readonly #pieceBytes: number;

  /** @throws RangeError if the bits are fewer than the pieces */
  constructor(image: HostedImage) {
    const { pieces, sizeBytes } = image;
    this.#image = image;
    this.#pieceBytes = pieces?.pieceLengthBytes ?? Math.max(1, sizeBytes);
    this.#have = pieces && new Uint8Array(pieces.have);
    this.#zero = pieces && new Uint8Array(pieces.zero);
    const needed = Math.ceil(Math.ceil(sizeBytes / this.#pieceBytes) / 8);
    if (pieces && (this.#have!.length < needed || this.#zero!.length < needed)) {
      throw new RangeError(`${sizeBytes} bytes in pieces of ${this.#pieceBytes} need ${needed} bytes of bits`);
    }
  }

  /** Whether all of a range is verified in the file. */
  isInFile(offset: number, length: number): boolean {
    if (this.#image.complete) return true;
    if (!this.#have) return length === 0;
    const last = this.#pieceAt(offset + length - 1);
    for (let piece = this.#pieceAt(offset); piece <= last; piece += 1) {
      if (!isSet(this.#have, piece)) return false;
    }
    return true;
  }

  /** Whether all of a range can be read: it is in the file, or known to be zeros. */
  isHere(offset: number, length: number): boolean {
    if (this.#image.complete) return true;
    if (!this.#have) return length === 0;
    const last = this.#pieceAt(offset + length - 1);
    for (let piece = this.#pieceAt(offset); piece <= last; piece += 1) {
      if (!this.#isReadable(piece)) return false;
    }
    return true;
  }

  /** The parts of a range that cannot be read yet, in order, neighbours as one. */
  missing(offset: number, length: number): Range[] {
    if (this.#image.complete || length === 0) return [];
    if (!this.#have) return [{ offset, length }];
    return this.#runs(offset, length, (piece) => !this.#isReadable(piece)).flatMap(({ range, is }) =>
      is ? [range] : [],
    );
  }

  /** A readable range in parts that are to be taken from the file or are zeros. */
  parts(offset: number, length: number): { range: Range; zero: boolean }[] {
    if (this.isInFile(offset, length)) return [{ range: { offset, length }, zero: false }];
    return this.#runs(offset, length, (piece) => !isSet(this.#have!, piece)).map(({ range, is }) => ({
      range,
      zero: is,
    }));
  }

  /** What is known of a range's holes: whole pieces of zeros. Of a long one, the first part of it. */
  extents(offset: number, length: number): Extent[] {
    const zero = this.#zero;
    if (!zero) return [{ offset, length, hole: false }];
    const end = (this.#pieceAt(offset) + extentPiecesMax) * this.#pieceBytes;
    return this.#runs(offset, Math.min(length, end - offset), (piece) => isSet(zero, piece)).map(({ range, is }) => ({
      ...range,
      hole: is,
    }));
  }

  /** A range cut where an answer about pieces changes. */
  #runs(offset: number, length: number, ask: (piece: number) => boolean): { range: Range; is: boolean }[] {
    const runs: { range: Range; is: boolean }[] = [];
    const end = offset + length;
    for (let at = offset; at < end; ) {
      const piece = this.#pieceAt(at);
      const next = Math.min(end, (piece + 1) * this.#pieceBytes);
      const is = ask(piece);
      const last = runs.at(-1);
      if (last?.is === is) last.range.length += next - at;
      else runs.push({ range: { offset: at, length: next - at }, is });
      at = next;
    }
    return runs;
  }

  #isReadable(piece: number): boolean {
    return isSet(this.#have!, piece) || isSet(this.#zero!, piece);
  }

  #pieceAt(offset: number): number {
    return Math.floor(offset / this.#pieceBytes);
  }
}

/** BEP 3's order; the other thread writes. */
function isSet(bits: Uint8Array, index: number): boolean {
  return (Atomics.load(bits, index >> 3) & (0x80 >> (index & 7))) !== 0;
}
