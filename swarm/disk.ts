/**
 * What is needed of a file system, and no more: the seam below everything that must outlast a crash. Tests bring a
 * disk that loses power, fills up and flips bits.
 */
import { chmod, mkdir, open, readdir, rename, rm, stat, statfs } from "node:fs/promises";
import { SystemFile } from "./system-file.ts";

export interface FileFacts {
  size: number;
  /** In units of 512 bytes, whatever the file system's block size. */
  blocks: number;
  /** Links to the file: more than one keep it when one is removed. */
  nlink?: number;
  isFile(): boolean;
}

/** An open file, or a directory opened so that its entries can be flushed. */
export interface DiskFile {
  /** May read less than asked for; 0 at the end. */
  read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesRead: number }>;
  readv(buffers: Uint8Array[], position: number): Promise<{ bytesRead: number }>;
  /** Reads as `readv` does, at once, for what is surely in memory; how many bytes. Absent where nothing ever is. */
  readvNow?(buffers: readonly Uint8Array[], position: number): number;
  /** May write less than asked for. */
  write(buffer: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesWritten: number }>;
  /** Makes the bytes, and the size, outlast a loss of power. */
  datasync(): Promise<void>;
  /** As `datasync`; of a directory: its entries. */
  sync(): Promise<void>;
  truncate(length: number): Promise<void>;
  stat(): Promise<FileFacts>;
  close(): Promise<void>;
}

/** Files by their paths. Faults are rejections with the system's `code`. */
export interface Disk {
  open(path: string, flags: "r" | "r+" | "w+" | "wx"): Promise<DiskFile>;
  stat(path: string): Promise<FileFacts>;
  statfs(path: string): Promise<{ bavail: number; blocks: number; bsize: number }>;
  readdir(path: string): Promise<string[]>;
  /** `recursive`: those above it too, and none of them need be new. */
  mkdir(path: string, options?: { recursive?: boolean }): Promise<unknown>;
  rename(from: string, to: string): Promise<void>;
  rm(path: string, options?: { recursive?: boolean; force?: boolean }): Promise<void>;
  /** Absent where files have no modes. */
  chmod?(path: string, mode: number): Promise<void>;
}

export const systemDisk: Disk = {
  open: async (path, flags) => new SystemFile(await open(path, flags)),
  ...{ chmod, stat, statfs, readdir, mkdir, rename, rm },
};

/** Opens a file to read and write; an empty one if there is none. */
export async function openOrCreate(disk: Disk, path: string): Promise<DiskFile> {
  return disk.open(path, "r+").catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error;
    return disk.open(path, "w+");
  });
}

/** Flushes a directory's entries, or a file, to the disk. */
export async function flushPath(disk: Disk, path: string): Promise<void> {
  const handle = await disk.open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Writes all of it, in as many turns as the disk takes. */
export async function writeAll(file: DiskFile, bytes: Uint8Array, position: number): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, written, bytes.length - written, position + written);
    written += bytesWritten;
  }
}

/** Reads up to `length` bytes from the start, fewer if the file ends before. */
export async function readStart(file: DiskFile, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await file.read(bytes, filled, length - filled, filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return bytes.subarray(0, filled);
}
