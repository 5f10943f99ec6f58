/**
 * The seeder's files: `images/<sha256>/data` and, where there is a torrent, `images/<sha256>/metainfo` (the bencoded info
 * dictionary), and `image.json` (image-card.ts). An image's directory appears and disappears by one rename, so it is whole or not there. `tmp/` holds what
 * is not yet or no longer an image, and is emptied at start; `copies/<sha256>/` holds what comes from another seeder, as far
 * as it has come.
 */
import { randomUUID } from "node:crypto";
import { type FileHandle, mkdir, open, readdir, readFile, rename, rm, stat, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { messageOf, Problem, systemCodeOf } from "../../daemon/problem.ts";
import { infoBytesMax } from "../../swarm/limits.ts";
import { cardBytesMax } from "./image-card.ts";

/** Within an image's directory: it is not in the catalog yet. */
const unconfirmed = "unconfirmed";

/** An image on its way in. */
export interface IncomingImage {
  readonly directory: string;
  /** Open for writing until `place` or `discard`. */
  readonly file: FileHandle;
  /** Closes and removes it, unless it has been placed. Never rejects. */
  discard(): Promise<void>;
}

export class ImageFiles {
  readonly #images: string;
  readonly #temporary: string;
  readonly #copies: string;

  private constructor(dataDirectory: string) {
    this.#images = join(dataDirectory, "images");
    this.#temporary = join(dataDirectory, "tmp");
    this.#copies = join(dataDirectory, "copies");
  }

  /** Opens the files of a data directory that this process has locked. */
  static async open(dataDirectory: string): Promise<ImageFiles> {
    const files = new ImageFiles(dataDirectory);
    await mkdir(files.#images, { recursive: true });
    await rm(files.#temporary, { recursive: true, force: true });
    await mkdir(files.#temporary);
    return files;
  }

  /** Where the images are. */
  get imagesPath(): string {
    return this.#images;
  }

  dataPath(digest: string): string {
    return join(this.#images, digest, "data");
  }

  /** Size of an image's data in bytes; undefined if it is not there. */
  async dataSizeBytes(digest: string): Promise<number | undefined> {
    try {
      return (await stat(this.dataPath(digest))).size;
    } catch (error) {
      if (systemCodeOf(error) === "ENOENT") return undefined;
      throw error;
    }
  }

  /** An image's info dictionary as stored; undefined if it is not there or cannot be one. */
  async infoBytes(digest: string): Promise<Uint8Array | undefined> {
    const path = join(this.#images, digest, "metainfo");
    try {
      return (await stat(path)).size <= infoBytesMax ? await readFile(path) : undefined;
    } catch (error) {
      if (systemCodeOf(error) === "ENOENT") return undefined;
      throw error;
    }
  }

  /** What an image's directory says of it; undefined if it says nothing. */
  async card(digest: string): Promise<string | undefined> {
    const path = join(this.#images, digest, "image.json");
    try {
      return (await stat(path)).size <= cardBytesMax ? await readFile(path, "utf8") : undefined;
    } catch (error) {
      if (systemCodeOf(error) === "ENOENT") return undefined;
      throw error;
    }
  }

  /** Has the directory of an image that is there say this of it. */
  placeCard(digest: string, text: string): Promise<void> {
    return this.#placeInto(digest, "image.json", Buffer.from(text));
  }

  /** Has an image's directory say nothing of it any more, durably. */
  async removeCard(digest: string): Promise<void> {
    const directory = join(this.#images, digest);
    try {
      await rm(join(directory, "image.json"));
      await syncDirectory(directory);
    } catch (error) {
      if (systemCodeOf(error) !== "ENOENT") throw error;
    }
  }

  /** What `images/` holds: digests, if nobody else has been at it. */
  entries(): Promise<string[]> {
    return readdir(this.#images);
  }

  /** Bytes that may still be written to the filesystem. */
  async freeBytes(): Promise<number> {
    return (await this.space()).freeBytes;
  }

  /** Bytes that may still be written to the filesystem, and its size. */
  async space(): Promise<{ freeBytes: number; sizeBytes: number }> {
    const { bavail, blocks, bsize } = await statfs(this.#temporary);
    return { freeBytes: bavail * bsize, sizeBytes: blocks * bsize };
  }

  /** Begins an image whose digest is not known yet. */
  async begin(): Promise<IncomingImage> {
    const directory = join(this.#temporary, randomUUID());
    await mkdir(directory);
    const file = await open(join(directory, "data"), "wx");
    return {
      directory,
      file,
      discard: async () => {
        await file.close().catch(() => {});
        await rm(directory, { recursive: true, force: true }).catch(() => {});
      },
    };
  }

  /**
   * Makes an incoming image the image of that digest, durably, in the place of what may be there. Until `confirm` it is
   * marked as one that is in no catalog yet.
   */
  async place(incoming: IncomingImage, digest: string, infoBytes: Uint8Array | undefined): Promise<void> {
    if (infoBytes) await writeDurably(join(incoming.directory, "metainfo"), infoBytes);
    await writeFile(join(incoming.directory, unconfirmed), "");
    await incoming.file.sync();
    await incoming.file.close();
    await syncDirectory(incoming.directory);
    await this.remove(digest);
    await rename(incoming.directory, join(this.#images, digest));
    await syncDirectory(this.#images);
  }

  /** An image is in the catalog. */
  async confirm(digest: string): Promise<void> {
    await rm(join(this.#images, digest, unconfirmed), { force: true });
  }

  /** Whether an entry of `images/` is an image that was in a catalog, whole or not. */
  async isConfirmed(entry: string): Promise<boolean> {
    const names: string[] = await readdir(join(this.#images, entry)).catch(() => []);
    return names.includes("data") && !names.includes(unconfirmed);
  }

  /** The directory of a copy from another seeder, with what has come of it. */
  async copyDirectory(digest: string): Promise<string> {
    const directory = join(this.#copies, digest);
    await mkdir(directory, { recursive: true });
    return directory;
  }

  /** Makes a whole copy, whose files nobody has open, the image of that digest, durably. */
  async placeCopy(digest: string, infoBytes: Uint8Array | undefined): Promise<void> {
    const directory = join(this.#copies, digest);
    await rm(join(directory, "have"), { force: true });
    await rm(join(directory, "metainfo"), { force: true });
    if (infoBytes) await writeDurably(join(directory, "metainfo"), infoBytes);
    const file = await open(join(directory, "data"), "r+");
    await file.sync().finally(() => file.close());
    await syncDirectory(directory);
    await this.remove(digest);
    await rename(directory, join(this.#images, digest));
    await syncDirectory(this.#images);
  }

  /** Forgets what has come of a copy. */
  async discardCopy(digest: string): Promise<void> {
    await rm(join(this.#copies, digest), { recursive: true, force: true });
  }

  /** Digests of copies that have begun. */
  async copies(): Promise<string[]> {
    return await readdir(this.#copies).catch((error: unknown) => {
      if (systemCodeOf(error) === "ENOENT") return [];
      throw error;
    });
  }

  /** Writes the info dictionary of an image that is there. */
  placeInfoBytes(digest: string, infoBytes: Uint8Array): Promise<void> {
    return this.#placeInto(digest, "metainfo", infoBytes);
  }

  async #placeInto(digest: string, name: string, bytes: Uint8Array): Promise<void> {
    const path = join(this.#temporary, randomUUID());
    await writeDurably(path, bytes);
    await rename(path, join(this.#images, digest, name));
    await syncDirectory(join(this.#images, digest));
  }

  /** Removes an image's directory, if it is there. */
  async remove(entry: string): Promise<void> {
    const doomed = join(this.#temporary, randomUUID());
    try {
      await rename(join(this.#images, entry), doomed);
    } catch (error) {
      if (systemCodeOf(error) === "ENOENT") return;
      throw error;
    }
    await syncDirectory(this.#images);
    await rm(doomed, { recursive: true, force: true });
  }
}

/** What a failed write means to whoever uploads. */
export function diskProblem(error: unknown): unknown {
  switch (systemCodeOf(error)) {
    case "ENOSPC":
    case "EDQUOT":
      return new Problem("exhausted", "the seeder's disk is full; retire images or give it more space", {
        cause: error,
      });
    case "EFBIG":
      return new Problem("exhausted", "the image is larger than the seeder's filesystem allows for one file", {
        cause: error,
      });
    case "EIO":
    case "EROFS":
      return new Problem("unavailable", `the seeder's disk does not take writes (${messageOf(error)})`, {
        cause: error,
      });
    default:
      return error;
  }
}

async function writeDurably(path: string, bytes: Uint8Array): Promise<void> {
  await writeFile(path, bytes, { flush: true });
}

/** Makes names within a directory last through a loss of power. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
