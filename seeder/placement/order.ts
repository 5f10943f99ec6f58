/**
 * Hosts by what they weigh, equals in a random order that is the same for the same seed and does not depend on the order in
 * which they came. Pure.
 */

/** Hosts, by their indexes. */
export interface OrderedHosts {
  size: number;
  /** By host: the number of its case. */
  caseOf: ArrayLike<number>;
  /** By case: the greatest goes first. */
  precedences: readonly number[];
  /** What goes by it are equals with the same hash. */
  nameOf: (index: number) => string;
  /** 32 bits of which equal hosts' order is made, with the seed. */
  hashOf: (index: number) => number;
}

/** Above any count of hosts: an index beside a tie-breaker of 32 bits still is a whole number to a double. */
const indexesMax = 2 ** 20;

/** Indexes of the best, best first. */
export function bestFirst(hosts: OrderedHosts, seed: bigint, count: number): Uint32Array {
  const { size, caseOf } = hosts;
  const rankOf = ranks(hosts.precedences);
  const endOf = rankEnds(hosts, rankOf);
  const told = Math.min(count, size);
  // Those of one rank lie together, the best rank first; ranks behind the last that is told are left out.
  const last = endOf.findIndex((end) => end >= told);
  const keys = new Float64Array(endOf[last] ?? 0);
  const nextOf = Uint32Array.from(endOf, (_, rank) => endOf[rank - 1] ?? 0);
  const salt = [Number(seed & 0xffff_ffffn), Number((seed >> 32n) & 0xffff_ffffn)] as const;
  for (let index = 0; index < size; index++) {
    const rank = rankOf[caseOf[index] as number] as number;
    if (rank > last) continue;
    const at = nextOf[rank] as number;
    nextOf[rank] = at + 1;
    keys[at] = tieBreaker(hosts.hashOf(index), salt) * indexesMax + index;
  }
  for (let rank = 0; rank <= last; rank++) {
    const start = rank === 0 ? 0 : (endOf[rank - 1] as number);
    const end = endOf[rank] as number;
    if (end - start > 1) sortEquals(keys.subarray(start, end), hosts.nameOf);
  }
  const best = new Uint32Array(told);
  for (let at = 0; at < told; at++) best[at] = (keys[at] as number) % indexesMax;
  return best;
}

/** By case: how many different precedences are above its own. */
function ranks(precedences: readonly number[]): Uint32Array {
  // Numbers sort faster without a comparison.
  const distinct = Float64Array.from(new Set(precedences)).sort().reverse();
  const rankOf = new Map<number, number>();
  for (const [rank, precedence] of distinct.entries()) rankOf.set(precedence, rank);
  return Uint32Array.from(precedences, (precedence) => rankOf.get(precedence) as number);
}

/** By rank: how many hosts there are of it and of better ones. */
function rankEnds({ size, caseOf, precedences }: OrderedHosts, rankOf: Uint32Array): Uint32Array {
  const sizes = new Uint32Array(precedences.length);
  for (let index = 0; index < size; index++) {
    const rank = rankOf[caseOf[index] as number] as number;
    sizes[rank] = (sizes[rank] as number) + 1;
  }
  let end = 0;
  return sizes.map((hosts) => (end += hosts));
}

/** Sorts keys of tie-breaker and index; two hosts of one tie-breaker, seldom among thousands, go by their names. */
function sortEquals(keys: Float64Array, nameOf: (index: number) => string): void {
  keys.sort();
  const isTie = (at: number) =>
    Math.floor((keys[at] as number) / indexesMax) === Math.floor((keys[at - 1] as number) / indexesMax);
  const nameAt = (at: number) => nameOf((keys[at] as number) % indexesMax);
  for (let at = 1; at < keys.length; at++) {
    for (let to = at; to > 0 && isTie(to) && nameAt(to) < nameAt(to - 1); to--) {
      const key = keys[to] as number;
      keys[to] = keys[to - 1] as number;
      keys[to - 1] = key;
    }
  }
}

/** A host's hash with the salt, stirred so that like hosts end up far apart. */
export function tieBreaker(hostHash: number, [low, high]: readonly [number, number]): number {
  let hash = Math.imul(hostHash ^ low, 0x85ebca6b) ^ high;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
