import { randomBytes } from "node:crypto";
import { open, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";

/**
 * Puts a file in place so that after a crash there is the old one or the new one, whole: written aside, flushed, renamed,
 * and the rename flushed.
 *
 * @param tmpDirectory on the same filesystem
 */
export async function writeDurably(tmpDirectory: string, path: string, content: string | Uint8Array): Promise<void> {
  const aside = join(tmpDirectory, randomBytes(8).toString("hex"));
  try {
    const file = await open(aside, "wx");
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(aside, path);
  } catch (error) {
    await rm(aside, { force: true });
    throw error;
  }
  await flush(dirname(path));
}

/** Flushes a file's data, or a directory's entries, to the disk. */
export async function flush(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Reads a small file; undefined if there is none. Rejects if it is larger than `bytesMax`. */
export async function readSmallFile(path: string, bytesMax: number): Promise<Buffer | undefined> {
  try {
    const { size } = await stat(path);
    if (size > bytesMax) throw new Error(`${path} has ${size} bytes; at most ${bytesMax} make sense`);
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
