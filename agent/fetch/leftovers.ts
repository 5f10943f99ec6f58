import type { ImageCache } from "../cache/image-cache.ts";
import { imagePaths } from "../cache/layout.ts";

/**
 * Leaves of a fetch that has failed, or was cancelled, what a later one can resume from. A record without a byte is not
 * worth keeping, unless it says that the image is kept for somebody, or is wrong.
 */
export async function keepLeftovers(cache: ImageCache, digest: string): Promise<void> {
  const { record, used, leases } = cache.get(digest) ?? {};
  const isKept = record?.damage !== undefined || used?.pinned || leases?.length;
  if (isKept || (await hasBytes(cache, digest))) await cache.setWanted(digest, null);
  else await cache.remove(digest);
}

async function hasBytes({ layout }: ImageCache, digest: string): Promise<boolean> {
  const { blocks } = await layout.disk.stat(imagePaths(layout, digest).data).catch(() => ({ blocks: 0 }));
  return blocks > 0;
}
