/** Memory from which blocks are sent, used again and again: fresh memory for each would cost more than the copying. */
import { blockBytes, blockBytesMax } from "./limits.ts";
import { pieceHeadBytes } from "./wire.ts";

/** Blocks of one batch with their heads: sixteen ordinary ones, or the largest that is served. */
export const batchBytesMax: number = Math.max(16 * (blockBytes + pieceHeadBytes), blockBytesMax + pieceHeadBytes);
/** Room behind them for short messages that would otherwise go out by themselves. */
export const tailBytesMax = 1_024;

/** Slabs of one size; beyond what is kept for the next blocks they go back to the heap. */
interface Size {
  bytes: number;
  keptMax: number;
  kept: Buffer[];
}

// For a single block, which is what a batch often is in a crowd, and for the longest batch.
const sizes: readonly Size[] = [
  { bytes: blockBytes + pieceHeadBytes + tailBytesMax, keptMax: 64, kept: [] },
  { bytes: batchBytesMax + tailBytesMax, keptMax: 16, kept: [] },
];

/** Length of the slab for a batch of so many bytes. */
export function slabBytesFor(batchBytes: number): number {
  return sizeFor(batchBytes + tailBytesMax).bytes;
}

/** Memory for a batch of so many bytes, and `tailBytesMax` behind it. There is anything in it. */
export function takeSlab(batchBytes: number): Buffer {
  const { bytes, kept } = sizeFor(batchBytes + tailBytesMax);
  return kept.pop() ?? Buffer.allocUnsafeSlow(bytes);
}

/** Nobody may read or write the slab after this. */
export function giveSlab(slab: Buffer): void {
  const { kept, keptMax } = sizeFor(slab.length);
  if (kept.length < keptMax) kept.push(slab);
}

function sizeFor(bytes: number): Size {
  const size = sizes.find((each) => bytes <= each.bytes);
  if (!size) throw new RangeError(`${bytes} bytes are more than a batch`);
  return size;
}
