/**
 * Which boot images are alike, without a look at their content: of all fingerprints of their pages the smallest few are
 * kept (a bottom-k sketch, as Broder's for web pages), and like images keep the same.
 */
import { sketchLengthMax } from "./limits.ts";

/** The sketch of pages with these hashes (as of page-hashes.ts): ascending, each once. */
export function sketchOf(hashes: Iterable<string>): bigint[] {
  const prints = new BigUint64Array([...new Set(hashes)].map((hash) => Buffer.from(hash, "latin1").readBigUInt64LE(0)));
  return [...new Set(prints.sort().subarray(0, sketchLengthMax))];
}

/** How alike two are, 0 to 1: the share of the smallest fingerprints of both together that each of them has. */
export function likeness(a: readonly bigint[], b: readonly bigint[]): number {
  const [inA, inB] = [new Set(a), new Set(b)];
  const both = new BigUint64Array([...inA.union(inB)]).sort().subarray(0, sketchLengthMax);
  if (both.length === 0) return 0;
  return both.filter((print) => inA.has(print) && inB.has(print)).length / both.length;
}
