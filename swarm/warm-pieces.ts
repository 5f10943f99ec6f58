/**
 * Which pieces are in the kernel's page cache as good as surely: those written or read last. They can be read without
 * waiting, and so without a thread: that is most of what a flash crowd reads, since what came just now is what others lack.
 */

/** Little enough not to have been dropped in between on a machine that has any memory to spare. */
const warmBytesMax = 32 * 1024 * 1024;

export class WarmPieces {
  /** The coldest first. */
  readonly #pieces = new Map<number, number>();
  #bytes = 0;

  has(index: number): boolean {
    return this.#pieces.has(index);
  }

  /** The piece, of so many bytes, has been written or read whole. */
  note(index: number, bytes: number): void {
    this.drop(index);
    this.#pieces.set(index, bytes);
    this.#bytes += bytes;
    for (const coldest of this.#pieces.keys()) {
      if (this.#bytes <= warmBytesMax) break;
      this.drop(coldest);
    }
  }

  drop(index: number): void {
    this.#bytes -= this.#pieces.get(index) ?? 0;
    this.#pieces.delete(index);
  }
}
