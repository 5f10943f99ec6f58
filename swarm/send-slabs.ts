/** Memory from which blocks are sent, used again and again: fresh memory for each would cost more than the copying. */
import { blockBytes, blockBytesMax } from "./limits.ts";
import { pieceHeadBytes } from "./wire.ts";

/** Room for sixteen ordinary blocks with their heads, or for the largest that is served. */
export const slabBytes = Math.max(16 * (blockBytes + pieceHeadBytes), blockBytesMax + pieceHeadBytes);
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
