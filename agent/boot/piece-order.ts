/** An image's pieces in the order in which a boot reads them. */
import type { ProfileExtent } from "../../boot/profile.ts";
import type { Swarm } from "../../swarm/swarm.ts";
import type { Torrent } from "../../swarm/torrent.ts";
import type { ImageCache } from "../cache/image-cache.ts";
import type { Fetches } from "../fetch/fetches.ts";

/** The pieces that extents lie in, in their order, each once. */
export function piecesOf(extents: readonly ProfileExtent[], pieceLengthBytes: number): number[] {
  const pieces = new Set<number>();
  for (const { offset, length } of extents) {
    const last = Math.floor((offset + length - 1) / pieceLengthBytes);
    for (let piece = Math.floor(offset / pieceLengthBytes); piece <= last; piece++) pieces.add(piece);
  }
  return [...pieces];
}

export interface OrderParts {
  cache: ImageCache;
  swarm: Pick<Swarm, "get">;
  fetches: Pick<Fetches, "stateChanges">;
}

/**
 * Has the pieces of an image come in the order of a boot, whenever it is fetched, until it is here or the signal aborts. Never
 * rejects.
 */
export async function orderPieces(
  { cache, swarm, fetches }: OrderParts,
  digest: string,
  extents: readonly ProfileExtent[],
  signal: AbortSignal,
): Promise<void> {
  let ordered: Torrent | undefined;
  while (!signal.aborted) {
    const { version } = fetches.stateChanges;
    const entry = cache.get(digest);
    if (!entry || entry.complete) return;
    const torrent = swarm.get(entry.record.infohash);
    if (torrent && torrent !== ordered) {
      ordered = torrent;
      order(torrent, extents);
    }
    await fetches.stateChanges.after(version, signal);
  }
}

function order(torrent: Torrent, extents: readonly ProfileExtent[]): void {
  const say = () => torrent.info && torrent.setOrder(piecesOf(extents, torrent.info.pieceLengthBytes));
  // With no more than a magnet link the length of pieces is not known yet.
  if (torrent.info) say();
  else torrent.once("opened", say);
}
