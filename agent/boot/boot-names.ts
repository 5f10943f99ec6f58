/** The name of an image's boot image in the catalog, and so in caches. */
export function bootNameOf(digest: string): string {
  return `${digest}.boot`;
}
