/** What other seeders of the same catalog have changed, taken over here. */
import { isDeepStrictEqual } from "node:util";
import type { TorrentInfo } from "../../swarm/types.ts";
import type { CatalogStore } from "../store/store.ts";
import type { Commits } from "./commits.ts";
import type { Image } from "./image.ts";
import type { ImageShelf } from "./image-shelf.ts";
import type { Others } from "./others.ts";

export interface FollowingParts {
  store: CatalogStore;
  shelf: ImageShelf;
  others?: Others | undefined;
}

/** Takes in what others have changed: watchers are told, and what was retired goes. All images, by first name. */
export async function followChanges(parts: FollowingParts, commits: Commits): Promise<Image[]> {
  const images = await parts.store.listImages();
  const digests = new Set(images.map(({ digest }) => digest));
  await dropMissing(
    parts,
    commits,
    commits.told.filter(({ digest }) => !digests.has(digest)),
  );
  for (const image of images) await takeOver(parts, commits, image);
  return images;
}

async function dropMissing({ store, shelf, others }: FollowingParts, commits: Commits, missing: Image[]) {
  const retired = await store.removedAmong(missing.map(({ digest }) => digest));
  for (const image of missing) {
    commits.tell({ kind: "retired", image: { ...image, names: [] } });
    await others?.endCopy(image.digest);
    if (retired.has(image.digest)) await shelf.remove(image);
    // The database was emptied, or went back to an earlier state.
    else await shelf.withdraw(image);
  }
}

async function takeOver({ shelf }: FollowingParts, commits: Commits, image: Image): Promise<void> {
  const before = commits.find({ digest: image.digest });
  if (!before) {
    commits.tell({ kind: "published", image });
    // What the database had lost may be known again.
    if (!shelf.holds(image)) await shelf.open(image, true);
  }
  const changed = !isDeepStrictEqual(before, image);
  if (before && changed) commits.tell({ kind: "changed", image });
  if (changed) await shelf.note(image);
  if (before && before.torrent?.infohash !== image.torrent?.infohash) await shelf.unseed(before);
}

/**
 * Takes in an image that has come whole from another seeder, and whose sha256 was found right.
 *
 * @returns whether it is in the catalog still
 */
export async function adoptCopy(
  { store, shelf, others }: FollowingParts,
  digest: string,
  info: TorrentInfo | undefined,
): Promise<boolean> {
  const image = await store.imageByDigest(digest);
  if (!image) return false;
  if (!shelf.holds(image)) await shelf.putCopy(image, info?.infohash === image.torrent?.infohash ? info : undefined);
  await shelf.note(image);
  if ((await others?.hold(digest)) !== false) return true;
  await shelf.remove(image);
  return false;
}

/** Takes in the torrent of an image whose bytes are here: another seeder has made it. */
export async function adoptTorrent({ shelf }: FollowingParts, image: Image, info: TorrentInfo): Promise<void> {
  if (!shelf.holds(image) || shelf.isSeeded(image)) return;
  await shelf.putTorrent(image.digest, info);
  shelf.seed(image.digest, info);
}
