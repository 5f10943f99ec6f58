/** How the torrents of a node share its connections: pure. */

export interface Sharer {
  /** Connections that there are, and those that are being made. */
  readonly connections: number;
  /** Nothing is missing: others come to it, it goes to nobody. */
  readonly isComplete: boolean;
}

/** A torrent that is being fetched may have this many times the connections of one that is only seeded. */
const fetchWeight = 4;

/**
 * The torrent that must give up a connection so that `asking` gets one more, when there are no more to be had: the one
 * that has most for its weight, if it still has no less than `asking` afterwards. None if `asking` has its share.
 */
export function overShare<Torrent extends Sharer>(torrents: Iterable<Torrent>, asking: Sharer): Torrent | undefined {
  let most: Torrent | undefined;
  for (const torrent of torrents) {
    if (torrent !== asking && (!most || load(torrent, 0) > load(most, 0))) most = torrent;
  }
  return most && load(most, 0) > load(asking, 1) ? most : undefined;
}

function load({ connections, isComplete }: Sharer, more: number): number {
  return (connections + more) / (isComplete ? 1 : fetchWeight);
}
