/** The bytes of the pieces being assembled, and who writes to which block of them as it arrives. */
import type { AssemblyBudget } from "./assembly-budget.ts";
import { blockBytes } from "./limits.ts";
import { pieceBytesOf } from "./metainfo.ts";
import type { Peer } from "./peer.ts";
import type { TorrentInfo } from "./types.ts";
import type { Block } from "./wire.ts";

interface PieceBuffer {
  bytes: Buffer;
  writers: (Peer | undefined)[];
}

export class PieceBuffers {
  readonly #info: TorrentInfo;
  readonly #budget: AssemblyBudget;
  readonly #buffers = new Map<number, PieceBuffer>();
  /** A piece could not be opened for want of memory. Its owner takes note of it, and sets it back. */
  isShort = false;

  constructor(info: TorrentInfo, budget: AssemblyBudget) {
    this.#info = info;
    this.#budget = budget;
  }

  has(index: number): boolean {
    return this.#buffers.has(index);
  }

  /** The piece's bytes; undefined if it is not being assembled. */
  get(index: number): Buffer | undefined {
    return this.#buffers.get(index)?.bytes;
  }

  /** Whether there is memory for one more piece. One is always allowed, or nothing would ever come. */
  readonly mayOpen = (index: number): boolean => {
    const may = this.#buffers.size === 0 || this.#budget.mayOpen(pieceBytesOf(this.#info, index));
    this.isShort ||= !may;
    return may;
  };

  open(index: number): void {
    const bytes = this.#budget.take(pieceBytesOf(this.#info, index));
    this.#buffers.set(index, { bytes, writers: new Array(Math.ceil(bytes.length / blockBytes)) });
  }

  free(index: number): void {
    const buffer = this.#buffers.get(index);
    if (buffer) this.#budget.give(buffer.bytes);
    this.#buffers.delete(index);
  }

  freeAll(): void {
    for (const index of [...this.#buffers.keys()]) this.free(index);
  }

  /** Where the bytes of a block that begins to arrive from a peer go; undefined if its piece is not being assembled. */
  targetFor(peer: Peer, { index, begin, length }: Block): Uint8Array | undefined {
    peer.aside = undefined;
    const buffer = this.#buffers.get(index);
    if (!buffer) return undefined;
    const writer = buffer.writers[begin / blockBytes];
    if (writer && writer !== peer && writer.isArriving(index, begin)) {
      // Two at once would mix; this one is put in its place when it is whole.
      peer.aside = Buffer.allocUnsafe(length);
      return peer.aside;
    }
    buffer.writers[begin / blockBytes] = peer;
    return buffer.bytes.subarray(begin, begin + length);
  }

  /** Puts a block that had to arrive elsewhere in its place. */
  takeAside(peer: Peer, { index, begin }: Block): void {
    if (peer.aside) this.#buffers.get(index)?.bytes.set(peer.aside, begin);
    peer.aside = undefined;
  }

  /** The block is here: whoever else is sending it writes nowhere any more. */
  settle({ index, begin }: Block, from: unknown): void {
    const writer = this.#buffers.get(index)?.writers[begin / blockBytes];
    if (writer && writer !== from) writer.dropArriving(index, begin);
  }
}
