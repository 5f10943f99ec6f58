/** Whom to serve: pure. */

export interface Served<Peer> {
  peer: Peer;
  /** It is in our own zone, or zones play no part. */
  isNear: boolean;
  /** It wants something that we have. */
  interested: boolean;
  /** It is served now. */
  unchoked: boolean;
  /** When that last changed, in milliseconds. */
  changedAtMs: number;
  /** Bytes per second that it takes from us. */
  bytesPerSecond: number;
}

/** Part of the slots, and at least so many, that peers of other zones get before those of our own zone get more. */
const farShare = 1 / 4;
const farSlotsMin = 2;

/**
 * The peers to serve from now on, at most `slots`.
 *
 * The network is cooperative: nobody must earn a slot, so whoever is interested gets a free one at once. When there are
 * more takers than slots, those of our own zone go first, but for a share that is reserved for others: a zone that starts
 * late must get its first copy.
 */
export function chooseUnchoked<Peer>(peers: readonly Served<Peer>[], slots: number, rotate: boolean): Set<Peer> {
  const interested = peers.filter((served) => served.interested);
  if (interested.length <= slots) {
    // Who lost interest keeps a slot that nobody needs: it may be interested again before a choke arrives.
    const kept = peers.filter((served) => served.unchoked && !served.interested).slice(0, slots - interested.length);
    return new Set([...interested, ...kept].map((served) => served.peer));
  }
  const near = interested.filter(({ isNear }) => isNear);
  const far = interested.filter(({ isNear }) => !isNear);
  const reserved = Math.max(farSlotsMin, Math.floor(slots * farShare));
  const farSlots = Math.min(slots, far.length, Math.max(reserved, slots - near.length));
  return new Set([...share(near, slots - farSlots, rotate), ...share(far, farSlots, rotate)]);
}

/**
 * Slots change hands only when it is time to `rotate`: the faster half of those served keeps its slots, for they pass
 * pieces on soonest, and the rest go to those who have waited longest.
 */
function share<Peer>(interested: readonly Served<Peer>[], slots: number, rotate: boolean): Set<Peer> {
  const keptMax = rotate ? Math.ceil(slots / 2) : slots;
  const fastest = interested
    .filter((served) => served.unchoked)
    .sort((a, b) => b.bytesPerSecond - a.bytesPerSecond)
    .slice(0, keptMax);
  const kept = new Set(fastest.map((served) => served.peer));
  const waiting = interested
    .filter((served) => !kept.has(served.peer))
    // Those not served come first, longest wait first; then those served, shortest service first.
    .sort((a, b) => Number(a.unchoked) - Number(b.unchoked) || waitOrder(a, b));
  for (const served of waiting.slice(0, slots - kept.size)) kept.add(served.peer);
  return kept;
}

function waitOrder<Peer>(a: Served<Peer>, b: Served<Peer>): number {
  return a.unchoked ? b.changedAtMs - a.changedAtMs : a.changedAtMs - b.changedAtMs;
}
