/** A boot image's file, made of a recorded boot and the image's verified bytes. */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { type Packed, packBootImage } from "../../boot/pack.ts";
import { type BootReads, profileOfReads } from "../../boot/profile.ts";
import type { Log } from "../../daemon/log.ts";
import { Problem } from "../../daemon/problem.ts";
import { type Disk, type DiskFile, writeAll } from "../../swarm/disk.ts";
import type { CacheEntry } from "../cache/image-cache.ts";
import { likeBootImages } from "./like-boot-images.ts";

/** A boot image that is not published yet: its head, and a temporary file of the frames that follow it. */
export interface MadeBootImage {
  packed: Packed;
  framesPath: string;
  sizeBytes: number;
  remove: () => Promise<void>;
}

export interface MakeOptions {
  image: CacheEntry;
  reads: BootReads;
  /** Boot images that are here and in the catalog, whose pages may be referred to. */
  candidates: readonly CacheEntry[];
  disk: Disk;
  temporaryDirectory: string;
  log: Log;
}

/**
 * Makes a boot image.
 *
 * @throws Problem "conflict" if nothing of the image was read; of the disk.
 */
export async function makeBootImage(options: MakeOptions): Promise<MadeBootImage> {
  const { image, reads, candidates, disk, temporaryDirectory, log } = options;
  const profile = profileOfReads(image.record, reads);
  if (profile.extents.length === 0) {
    throw new Problem(
      "conflict",
      "nothing was read of the image while it was recorded; boot a VM on the disk meanwhile",
    );
  }
  const framesPath = join(temporaryDirectory, `boot-${randomBytes(8).toString("hex")}`);
  const remove = () => disk.rm(framesPath, { force: true });
  try {
    const data = await disk.open(image.paths.data, "r");
    const frames = await disk.open(framesPath, "wx");
    let position = 0;
    try {
      const packed = await packBootImage({
        profile,
        readImage: (offset, length) => readAll(data, offset, length),
        sources: (sketch) => likeBootImages(sketch, candidates, log),
        write: async (bytes) => {
          await writeAll(frames, bytes, position);
          position += bytes.length;
        },
      });
      return { packed, framesPath, sizeBytes: packed.headBytes.length + packed.framesBytes, remove };
    } finally {
      await Promise.all([data.close(), frames.close()]);
    }
  } catch (error) {
    await remove().catch(() => {});
    throw error;
  }
}

async function readAll(file: DiskFile, offset: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length);
  for (let filled = 0; filled < length; ) {
    const { bytesRead } = await file.read(bytes, filled, length - filled, offset + filled);
    if (bytesRead === 0) throw new Problem("data-loss", "the image's file is shorter than the image");
    filled += bytesRead;
  }
  return bytes;
}
