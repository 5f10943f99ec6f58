import type { Log } from "../../daemon/log.ts";
import type { CatalogStore } from "../store/store.ts";
import type { Image } from "./image.ts";
import type { ImageShelf } from "./image-shelf.ts";

/**
 * Takes images into the catalog again that its database has lost, where their directories say what they are, under those of
 * their names that are free. What was retired has no such directory any more. For a database of one seeder alone: of several,
 * one may have been away while an image was retired.
 *
 * @param known what the database has
 * @returns all images
 */
export async function recoverImages(
  { store, shelf, log }: { store: CatalogStore; shelf: ImageShelf; log: Log },
  known: Image[],
): Promise<Image[]> {
  const found = await shelf.lost(known, (digests) => store.removedAmong(digests));
  const taken = new Set(known.flatMap(({ names }) => names));
  const recovered: string[][] = [];
  // A name that went from one image to another is the later one's.
  for (const image of found.sort((a, b) => b.createdAtMs - a.createdAtMs)) {
    const names = image.names.filter((name) => !taken.has(name));
    if (names.length === 0) continue;
    await store.addImage({ ...image, names });
    for (const name of names) taken.add(name);
    recovered.push(names);
  }
  if (recovered.length === 0) return known;
  log.warn(
    { images: recovered.length, names: recovered.flat().slice(0, 10) },
    "the database had lost images; they are in the catalog again, by what their directories say",
  );
  return store.listImages();
}
