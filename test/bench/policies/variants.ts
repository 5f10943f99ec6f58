/** What booting Debian variants reads, and what their boot images weigh, by themselves and beside each other. */
import { closeSync, mkdtempSync, openSync, readSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { pageBytes } from "../../../boot/limits.ts";
import type { PackSource } from "../../../boot/pack.ts";
import { pageHashOf } from "../../../boot/page-hashes.ts";
import type { Accelerator } from "../boot/vm.ts";
import { allocatedBytes, type BenchImage, benchImage, makeBootImage, variants } from "./image.ts";
import type { ImageFigures } from "./results.ts";

export async function variantFigures(directory: string, accel: Accelerator): Promise<ImageFigures[]> {
  const figures: ImageFigures[] = [];
  const sources: PackSource[] = [];
  const files = mkdtempSync(join(directory, "variants-"));
  try {
    for (const [name, packages] of Object.entries(variants)) {
      const image = await benchImage(directory, name, accel);
      const alone = await makeBootImage(image, join(files, name));
      await makeBootImage(image, join(files, `${name}-beside`), sources);
      const ownPages = alone.head.segments.filter(({ from }) => from === "own");
      sources.push({
        digest: name.padEnd(64, "0").replace(/[^0-9a-f]/g, "0"),
        contentPages: alone.head.contentPages,
        pageHashes: contentHashes(image, ownPages, alone.head.contentPages),
      });
      figures.push({
        ...{ name, packages, sizeBytes: image.trace.imageBytes, allocatedBytes: allocatedBytes(image.rawPath) },
        reads: image.trace.reads.length,
        readBytes: image.trace.reads.reduce((sum, [, length]) => sum + length, 0),
        ...{ coveredBytes: alone.coveredBytes, zeroBytes: alone.zeroBytes, repeatedBytes: alone.repeatedBytes },
        bootImageBytes: statSync(join(files, name)).size,
        bootImageBytesBeside: statSync(join(files, `${name}-beside`)).size,
      });
    }
  } finally {
    rmSync(files, { recursive: true, force: true });
  }
  return figures;
}

/** Hashes of a boot image's own pages, in the order of its content. */
function contentHashes(
  { rawPath }: BenchImage,
  segments: { page: number; pages: number; at: number }[],
  contentPages: number,
): string[] {
  const hashes: string[] = new Array(contentPages).fill("");
  const file = openSync(rawPath, "r");
  try {
    for (const { page, pages, at } of segments) {
      for (let index = 0; index < pages; index++) {
        const bytes = Buffer.alloc(pageBytes);
        readSync(file, bytes, 0, pageBytes, (page + index) * pageBytes);
        hashes[at + index] = pageHashOf(bytes);
      }
    }
  } finally {
    closeSync(file);
  }
  return hashes;
}
