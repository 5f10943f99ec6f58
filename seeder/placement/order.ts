/**
 * Hosts by their scores, equals in a random order that is the same for the same seed and does not depend on the order in
 * which they came. Pure.
 */

/** Above any count of hosts: an index beside a tie-breaker of 32 bits still is a whole number to a double. */
const indexesMax = 2 ** 20;

/** Indexes of the best, the greatest score first. */
export function bestFirst(
  scores: Float64Array,
  nameOf: (index: number) => string,
  seed: bigint,
  count: number,
): number[] {
  // Most hosts have nothing of an image and are at rest, which is one score: numbers sort faster without a comparison.
  const groups = new Map<number, number[]>();
  for (let index = 0; index < scores.length; index++) {
    const score = scores[index] as number;
    const group = groups.get(score);
    if (group) group.push(index);
    else groups.set(score, [index]);
  }
  const best: number[] = [];
  for (const score of Float64Array.from(groups.keys()).sort().reverse()) {
    if (best.length >= count) break;
    for (const index of inRandomOrder(groups.get(score) as number[], nameOf, seed)) best.push(index);
  }
  return best.slice(0, count);
}

function inRandomOrder(indexes: readonly number[], nameOf: (index: number) => string, seed: bigint): Iterable<number> {
  if (indexes.length < 2) return indexes;
  const salt = [Number(seed & 0xffff_ffffn), Number((seed >> 32n) & 0xffff_ffffn)] as const;
  // Loops, since `from` takes several times as long over thousands.
  const keys = new Float64Array(indexes.length);
  for (let at = 0; at < keys.length; at++) {
    const index = indexes[at] as number;
    keys[at] = tieBreaker(nameOf(index), salt) * indexesMax + index;
  }
  keys.sort();
  const ordered = new Array<number>(keys.length);
  for (let at = 0; at < keys.length; at++) ordered[at] = (keys[at] as number) % indexesMax;
  const isTie = (at: number) =>
    Math.floor((keys[at] as number) / indexesMax) === Math.floor((keys[at - 1] as number) / indexesMax);
  // Two names of one tie-breaker, of which there is one pair in a hundred thousand, go by their names.
  for (let at = 1; at < ordered.length; at++) {
    for (let to = at; to > 0 && isTie(to) && nameOf(ordered[to]!) < nameOf(ordered[to - 1]!); to--) {
      [ordered[to - 1], ordered[to]] = [ordered[to]!, ordered[to - 1]!];
    }
  }
  return ordered;
}

/** FNV-1a over the salt and the name, stirred so that like names end up far apart. */
function tieBreaker(name: string, [low, high]: readonly [number, number]): number {
  let hash = Math.imul(0x811c9dc5 ^ low, 0x01000193) ^ high;
  for (let index = 0; index < name.length; index++) hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
