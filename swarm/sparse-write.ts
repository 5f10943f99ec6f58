/** Writing so that the holes of an image stay holes. */
import { type DiskFile, writeAll } from "./disk.ts";

/** What is left out at once: the usual cluster of qcow2, and a multiple of every file system's block. */
const partBytes = 64 * 1024;
const zeros = Buffer.alloc(partBytes);

/**
 * Writes bytes, but for parts that are all zeros where the file reads as zeros already: where it is a hole, or ends.
 * Parts begin at multiples of 64 KiB of the file. Where it held anything else, zeros are written like all bytes.
 *
 * @returns where the last byte written ends; `position` if none was
 */
export async function writeSparsely(file: DiskFile, bytes: Uint8Array, position: number): Promise<number> {
  let writtenTo = position;
  let runFrom = 0;
  for (let from = 0; from < bytes.length; ) {
    const to = Math.min(bytes.length, from + partBytes - ((position + from) % partBytes));
    if (isZeros(bytes.subarray(from, to)) && (await readsAsZeros(file, position + from, to - from))) {
      if (runFrom < from) writtenTo = await writeRun(file, bytes.subarray(runFrom, from), position + runFrom);
      runFrom = to;
    }
    from = to;
  }
  if (runFrom < bytes.length) writtenTo = await writeRun(file, bytes.subarray(runFrom), position + runFrom);
  return writtenTo;
}

/** Makes a part of a file read as zeros: nothing is written where it does so already. */
export async function writeZeros(file: DiskFile, position: number, length: number): Promise<void> {
  for (let done = 0; done < length; ) {
    const bytes = Math.min(partBytes, length - done);
    await writeSparsely(file, zeros.subarray(0, bytes), position + done);
    done += bytes;
  }
}

async function writeRun(file: DiskFile, bytes: Uint8Array, position: number): Promise<number> {
  await writeAll(file, bytes, position);
  return position + bytes.length;
}

/** At most one part. A comparison ends at the first byte that differs, so data costs next to nothing. */
function isZeros(bytes: Uint8Array): boolean {
  return Buffer.compare(bytes, zeros.subarray(0, bytes.length)) === 0;
}

async function readsAsZeros(file: DiskFile, position: number, length: number): Promise<boolean> {
  const buffer = Buffer.allocUnsafe(length);
  for (let filled = 0; filled < length; ) {
    // What cannot be read is no hole, and a write is what mends a bad sector.
    const { bytesRead } = await file
      .read(buffer, filled, length - filled, position + filled)
      .catch(() => ({ bytesRead: undefined }));
    if (bytesRead === undefined) return false;
    // Beyond its end a file is as good as a hole.
    if (bytesRead === 0) return isZeros(buffer.subarray(0, filled));
    filled += bytesRead;
  }
  return isZeros(buffer);
}
