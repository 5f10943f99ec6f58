/** Which boot images that are here have pages in common with one that is about to be made. */
import { open } from "node:fs/promises";
import { pageBytes, sourcesMax } from "../../boot/limits.ts";
import type { PackSource } from "../../boot/pack.ts";
import { pageHashOf } from "../../boot/page-hashes.ts";
import { readFrames, readHead } from "../../boot/read-file.ts";
import { likeness } from "../../boot/sketch.ts";
import type { Log } from "../../daemon/log.ts";
import { messageOf } from "../../daemon/problem.ts";
import type { CacheEntry } from "../cache/image-cache.ts";

/** From so much likeness on it is worth a look at all of a boot image's pages. */
const likenessMin = 0.05;
/** Boot images whose heads are looked at; each is one small read. */
const candidatesMax = 2_000;

/** The boot images that are most like one with this sketch, with the hashes of their pages. */
export async function likeBootImages(
  sketch: readonly bigint[],
  candidates: readonly CacheEntry[],
  log: Log,
): Promise<PackSource[]> {
  const alike: { entry: CacheEntry; likeness: number }[] = [];
  for (const entry of candidates.slice(0, candidatesMax)) {
    try {
      await using file = await open(entry.paths.data);
      const { head } = await readHead(file);
      alike.push({ entry, likeness: likeness(sketch, head.sketch) });
    } catch (error) {
      log.debug({ digest: entry.record.digest, error: messageOf(error) }, "a boot image cannot be looked at");
    }
  }
  const best = alike.filter(({ likeness }) => likeness >= likenessMin).sort((a, b) => b.likeness - a.likeness);
  const sources: PackSource[] = [];
  for (const { entry } of best) {
    if (sources.length === sourcesMax) break;
    try {
      sources.push(await withPageHashes(entry));
    } catch (error) {
      // Damaged, or evicted meanwhile: the boot that was recorded is worth more than what it would have saved.
      log.info(
        { digest: entry.record.digest, error: messageOf(error) },
        "a boot image cannot be read to share its blocks",
      );
    }
  }
  return sources;
}

async function withPageHashes({ record, paths }: CacheEntry): Promise<PackSource> {
  await using file = await open(paths.data);
  const { head, headBytes } = await readHead(file);
  const pageHashes: string[] = [];
  for await (const frame of readFrames(file, head, headBytes)) {
    for (let at = 0; at < frame.length; at += pageBytes)
      pageHashes.push(pageHashOf(frame.subarray(at, at + pageBytes)));
  }
  return { digest: record.digest, contentPages: head.contentPages, pageHashes };
}
