import { createHash, randomFillSync } from "node:crypto";
import { open } from "node:fs/promises";
import { join } from "node:path";
import type { BenchImage } from "./contender.ts";

/** Writes an image of random bytes. */
export async function makeImage(directory: string, name: string, sizeBytes: number): Promise<BenchImage> {
  const chunk = Buffer.alloc(1_000_000);
  const path = join(directory, name);
  const hash = createHash("sha256");
  await using file = await open(path, "w");
  for (let at = 0; at < sizeBytes; at += chunk.length) {
    const bytes = randomFillSync(chunk).subarray(0, Math.min(chunk.length, sizeBytes - at));
    hash.update(bytes);
    await file.writeFile(bytes);
  }
  return { name, path, sha256: hash.digest("hex"), sizeBytes };
}
