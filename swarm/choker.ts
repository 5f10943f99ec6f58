/** Whom to serve: pure. */

export interface Served<Peer> {
  peer: Peer;
  /** It wants something that we have. */
  interested: boolean;
  /** It is served now. */
  unchoked: boolean;
  /** When that last changed, in milliseconds. */
  changedAtMs: number;
  /** Bytes per second that it takes from us. */
  bytesPerSecond: number;
}

/**
 * The peers to serve from now on, at most `slots`.
 *
 * The network is cooperative: nobody must earn a slot, so whoever is interested gets a free one at once. When there are
 * more takers than slots, slots change hands only when it is time to `rotate`: the faster half of those served keeps its
 * slots, for they pass pieces on soonest, and the rest go to those who have waited longest.
 */
export function chooseUnchoked<Peer>(peers: readonly Served<Peer>[], slots: number, rotate: boolean): Set<Peer> {
  const interested = peers.filter((served) => served.interested);
  if (interested.length <= slots) return new Set(interested.map((served) => served.peer));
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
