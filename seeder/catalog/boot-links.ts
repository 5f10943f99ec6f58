/** What boot images keep in the catalog, and what keeps them: pure. */
import type { Image } from "./image.ts";

/** The boot images that refer to a boot image. */
export function dependentsOf(digest: string, images: readonly Image[]): Image[] {
  return images.filter(({ boot }) => boot?.sources.includes(digest));
}

/** The boot images whose image is gone, but for those that others refer to. */
export function orphansAmong(images: readonly Image[]): Image[] {
  const digests = new Set(images.map(({ digest }) => digest));
  const needed = new Set(images.flatMap(({ boot }) => boot?.sources ?? []));
  return images.filter(({ digest, boot }) => boot && !digests.has(boot.of) && !needed.has(digest));
}
