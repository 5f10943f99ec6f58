/** Memory from which blocks are sent, used again and again: fresh memory for each would cost more than the copying. */
import { blockBytes, blockBytesMax } from "./limits.ts";
import { pieceHeadBytes } from "./wire.ts";

/** Blocks of one batch with their heads: sixteen ordinary ones, or the largest that is served. */
export const batchBytesMax = Math.max(16 * (blockBytes + pieceHeadBytes), blockBytesMax + pieceHeadBytes);
/** Room behind them for short messages that would otherwise go out by themselves. */
export const tailBytesMax = 1_024;
export const slabBytes: number = batchBytesMax + tailBytesMax;
/** Slabs kept for the next blocks; beyond it they go back to the heap. */
const keptMax = 16;

const kept: Buffer[] = [];

/** `slabBytes` bytes of anything. */
export function takeSlab(): Buffer {
  return kept.pop() ?? Buffer.allocUnsafeSlow(slabBytes);
}

/** Nobody may read or write the slab after this. */
export function giveSlab(slab: Buffer): void {
  if (kept.length < keptMax) kept.push(slab);
}
