import { randomBytes } from "node:crypto";
import { dirname, join } from "node:path";
import { systemCodeOf } from "../../daemon/problem.ts";
import { type Disk, flushPath, readStart, writeAll } from "../../swarm/disk.ts";
import type { StateLayout } from "./layout.ts";

/**
 * Puts a file in place so that after a crash there is the old one or the new one, whole: written aside, flushed, renamed,
 * and the rename flushed.
 */
export async function writeDurably(layout: StateLayout, path: string, content: string | Uint8Array): Promise<void> {
  const { disk } = layout;
  const aside = join(layout.tmp, randomBytes(8).toString("hex"));
  try {
    const file = await disk.open(aside, "wx");
    try {
      await writeAll(file, Buffer.from(content), 0);
      await file.sync();
    } finally {
      await file.close();
    }
    await disk.rename(aside, path);
  } catch (error) {
    // The first fault is the one to tell of; tmp/ is emptied at start.
    await disk.rm(aside, { force: true }).catch(() => {});
    throw error;
  }
  await flushPath(disk, dirname(path));
}

/** Reads a small file; undefined if there is none. Rejects if it is larger than `bytesMax`. */
export async function readSmallFile(disk: Disk, path: string, bytesMax: number): Promise<Buffer | undefined> {
  try {
    const file = await disk.open(path, "r");
    try {
      const { size } = await file.stat();
      if (size > bytesMax) throw new Error(`${path} has ${size} bytes; at most ${bytesMax} make sense`);
      return await readStart(file, size);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (systemCodeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}
