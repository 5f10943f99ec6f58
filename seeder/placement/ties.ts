/** Random order of equals that is the same for the same seed, and does not depend on the order in which they came. Pure. */

/** A number for a name, by a seed: FNV-1a over the seed and the name, stirred so that like names end up far apart. */
export function tieBreaker(name: string, seed: bigint): number {
  let hash = 0x811c9dc5 ^ Number(seed & 0xffff_ffffn);
  hash = Math.imul(hash, 0x01000193) ^ Number((seed >> 32n) & 0xffff_ffffn);
  for (let index = 0; index < name.length; index++) hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
