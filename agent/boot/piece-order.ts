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

/** Told of the pieces of a boot as they come. */
export interface PieceWatcher {
  /** A piece of the image has come. */
  came(): void;
  /** Whether all pieces of the boot are here, as far as is known by now. */
  allHere(isAll: boolean): void;
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
  watcher: PieceWatcher,
  signal: AbortSignal,
): Promise<void> {
  let ordered: Torrent | undefined;
  let unwatch = () => {};
  while (!signal.aborted) {
    const { version } = fetches.stateChanges;
    const entry = cache.get(digest);
    if (!entry || entry.complete) break;
    const torrent = swarm.get(entry.record.infohash);
    if (torrent && torrent !== ordered) {
      ordered = torrent;
      unwatch();
      unwatch = order(torrent, extents, watcher);
    }
    await fetches.stateChanges.after(version, signal);
  }
  unwatch();
}

/** Says the order, and watches its pieces come until what is returned is called. */
function order(torrent: Torrent, extents: readonly ProfileExtent[], watcher: PieceWatcher): () => void {
  let pieces: number[] = [];
  const look = () => {
    const { have } = torrent;
    watcher.allHere(have !== undefined && pieces.length > 0 && pieces.every((index) => have.has(index)));
  };
  const say = () => {
    if (!torrent.info) return;
    pieces = piecesOf(extents, torrent.info.pieceLengthBytes);
    torrent.setOrder(pieces);
    look();
  };
  const onPiece = () => {
    watcher.came();
    look();
  };
  torrent.on("opened", say);
  torrent.on("piece", onPiece);
  // With no more than a magnet link the length of pieces is not known yet.
  say();
  return () => {
    torrent.off("opened", say);
    torrent.off("piece", onPiece);
  };
}
