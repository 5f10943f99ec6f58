import { assemblyBytesMax } from "./limits.ts";

/** Bytes of buffers kept for the next pieces, over all sizes; beyond it they go back to the heap. */
const keptBytesMax = 32 * 1024 * 1024;

/** Memory for pieces being assembled, shared by all torrents of a node, and its buffers, used again and again. */
export class AssemblyBudget {
  #usedBytes = 0;
  #keptBytes = 0;
  readonly #free = new Map<number, Buffer[]>();
  readonly #allocate: (bytes: number) => Buffer;
  readonly #bytesMax: number;

  /** A simulation of ten thousand nodes has other buffers to give. */
  constructor(allocate: (bytes: number) => Buffer = Buffer.allocUnsafeSlow, bytesMax = assemblyBytesMax) {
    this.#allocate = allocate;
    this.#bytesMax = bytesMax;
  }

  /** Whether a piece may be opened. One always may if nothing else is open, however large. */
  mayOpen(pieceBytes: number): boolean {
    return this.#usedBytes === 0 || this.#usedBytes + pieceBytes <= this.#bytesMax;
  }

  take(pieceBytes: number): Buffer {
    this.#usedBytes += pieceBytes;
    const kept = this.#free.get(pieceBytes)?.pop();
    if (kept) this.#keptBytes -= pieceBytes;
    return kept ?? this.#allocate(pieceBytes);
  }

  /** Nobody may write to the buffer after this. */
  give(buffer: Buffer): void {
    this.#usedBytes -= buffer.length;
    if (this.#keptBytes + buffer.length > keptBytesMax) this.#forget();
    if (buffer.length > keptBytesMax) return;
    const kept = this.#free.get(buffer.length) ?? [];
    this.#free.set(buffer.length, kept);
    kept.push(buffer);
    this.#keptBytes += buffer.length;
  }

  /** Every torrent's last piece has a size of its own: what piles up is dropped, and the sizes in use come back. */
  #forget(): void {
    this.#free.clear();
    this.#keptBytes = 0;
  }
}
