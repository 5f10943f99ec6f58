import { Problem, systemCodeOf } from "../../daemon/problem.ts";
import type { Disk } from "../../swarm/disk.ts";

export interface DiskSpace {
  freeBytes: number;
  sizeBytes: number;
}

/** Space of the filesystem that holds `path`, as this process may use it. */
export async function diskSpaceOf(disk: Disk, path: string): Promise<DiskSpace> {
  const { bavail, blocks, bsize } = await disk.statfs(path);
  return { freeBytes: bavail * bsize, sizeBytes: blocks * bsize };
}

/** Bytes that a file occupies on disk: less than its size where it has holes. 0 if there is no such file. */
export async function allocatedBytesOf(disk: Disk, path: string): Promise<number> {
  try {
    // POSIX counts st_blocks in units of 512 bytes whatever the filesystem's block size.
    return (await disk.stat(path)).blocks * 512;
  } catch {
    return 0;
  }
}

/**
 * A clear error for a disk that takes no more, or anything else that went wrong with a file.
 *
 * @param what what was being written, such as "image debian-12"
 */
export function diskProblem(error: unknown, what: string, directory: string): Problem {
  if (error instanceof Problem) return error;
  switch (systemCodeOf(error)) {
    case "ENOSPC":
    case "EDQUOT":
      return new Problem(
        "exhausted",
        `the disk that holds ${directory} is full, so ${what} cannot be written; remove images or free space: what has arrived is kept`,
        { cause: error },
      );
    case "EIO":
      return new Problem(
        "internal",
        `the disk that holds ${directory} fails, so ${what} cannot be written or read; see the kernel's log, and mend or replace it`,
        { cause: error },
      );
    case "EROFS":
      return new Problem(
        "conflict",
        `the disk that holds ${directory} is read-only, so ${what} cannot be written; see the kernel's log for why, and remount it writable`,
        { cause: error },
      );
    case "EACCES":
    case "EPERM":
      return new Problem("conflict", `${what} cannot be written in ${directory}; make it writable for the agent`, {
        cause: error,
      });
    default:
      return new Problem("internal", `${what} cannot be written or read in ${directory}`, { cause: error });
  }
}

/** A size for people, as in "1.5 GiB". */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}
