import { assemblyBytesMax } from "./limits.ts";

/** Buffers kept for the next pieces, per size; beyond it they go back to the heap. */
const buffersKeptMax = 16;

/** Memory for pieces being assembled, shared by all torrents of a node, and its buffers, used again and again. */
export class AssemblyBudget {
  #usedBytes = 0;
  readonly #free = new Map<number, Buffer[]>();

  /** Whether a piece may be opened. One always may if nothing else is open, however large. */
  mayOpen(pieceBytes: number): boolean {
    return this.#usedBytes === 0 || this.#usedBytes + pieceBytes <= assemblyBytesMax;
  }

  take(pieceBytes: number): Buffer {
    this.#usedBytes += pieceBytes;
    return this.#free.get(pieceBytes)?.pop() ?? Buffer.allocUnsafeSlow(pieceBytes);
  }

  /** Nobody may write to the buffer after this. */
  give(buffer: Buffer): void {
    this.#usedBytes -= buffer.length;
    const kept = this.#free.get(buffer.length) ?? [];
    this.#free.set(buffer.length, kept);
    if (kept.length < buffersKeptMax) kept.push(buffer);
  }
}
