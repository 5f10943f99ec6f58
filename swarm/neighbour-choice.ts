/** Which neighbour to part with, so that somebody else gets its place: pure. */

export interface Neighbour<Peer> {
  peer: Peer;
  /** One side wants something that the other has. */
  isUseful: boolean;
  /** It is in our own zone, or zones play no part. */
  isNear: boolean;
  /** Bytes per second, both ways together. */
  bytesPerSecond: number;
  ageMs: number;
}

/** Why a neighbour was chosen: it is of no use, there are many of other zones, or others are faster. */
export type PartingReason = "useless" | "far" | "slow";

/** A neighbour so young has had no time to show its worth. */
const ageMsMin = 10_000;
/** Neighbours of other zones that are kept whatever their rate: without them zones would part. */
const farShareKept = 1 / 4;
/** Of those that are of use, the fastest of this share are never parted with: strangers cannot drive them out. */
const shareProtected = 1 / 2;

/**
 * The neighbour of least worth: first one that is of no use, then one of another zone while there are more of those than
 * their reserved share of `placesMax`, then the slowest. None if all are young or worth keeping, unless `mustChoose`.
 */
export function leastWorth<Peer>(
  neighbours: readonly Neighbour<Peer>[],
  placesMax: number,
  mustChoose = false,
): { peer: Peer; reason: PartingReason } | undefined {
  const grown = neighbours.filter(({ ageMs }) => mustChoose || ageMs >= ageMsMin);
  const useless = grown.find(({ isUseful }) => !isUseful);
  if (useless) return { peer: useless.peer, reason: "useless" };
  const slowestFirst = grown.toSorted((a, b) => a.bytesPerSecond - b.bytesPerSecond);
  const far = slowestFirst.filter(({ isNear }) => !isNear);
  const farKept = Math.ceil(placesMax * farShareKept);
  if (far.length > farKept) return { peer: far[0]!.peer, reason: "far" };
  const open = mustChoose ? slowestFirst : slowestFirst.slice(0, Math.floor(grown.length * shareProtected));
  // Without any of another zone, everybody is near.
  const slowest = open.find(({ isNear }) => isNear) ?? (mustChoose ? open[0] : undefined);
  return slowest && { peer: slowest.peer, reason: "slow" };
}
