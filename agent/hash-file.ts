import { createHash, type Hash } from "node:crypto";
import type { Disk } from "../swarm/disk.ts";
import { pieceBytesOf, pieceHashOf } from "../swarm/metainfo.ts";
import type { TorrentInfo } from "../swarm/types.ts";

/** Bytes read and hashed in one turn of the event loop: about half a millisecond, so that nothing else waits for long. */
const turnBytes = 1024 * 1024;

/**
 * The sha256 of a file, 64 lower-case hex digits.
 *
 * @param onBytes told the bytes done so far
 */
export async function sha256OfFile(
  disk: Disk,
  path: string,
  signal?: AbortSignal,
  onBytes?: (doneBytes: number) => void,
): Promise<string> {
  const hash = createHash("sha256");
  let doneBytes = 0;
  await using reader = await openReader(disk, path, signal);
  for (;;) {
    const readBytes = await reader.into(hash, doneBytes, turnBytes);
    if (readBytes === 0) return hash.digest("hex");
    doneBytes += readBytes;
    onBytes?.(doneBytes);
  }
}

/** The index of the first piece of the file that does not have its torrent's hash; undefined if all do. */
export async function firstBadPiece(
  disk: Disk,
  path: string,
  info: TorrentInfo,
  signal: AbortSignal,
): Promise<number | undefined> {
  await using reader = await openReader(disk, path, signal);
  for (let index = 0; index < info.pieceCount; index++) {
    const begin = index * info.pieceLengthBytes;
    const end = begin + pieceBytesOf(info, index);
    const hash = createHash("sha1");
    for (let offset = begin; offset < end; ) {
      const readBytes = await reader.into(hash, offset, Math.min(turnBytes, end - offset));
      if (readBytes === 0) return index;
      offset += readBytes;
    }
    if (!hash.digest().equals(pieceHashOf(info, index))) return index;
  }
  return undefined;
}

async function openReader(disk: Disk, path: string, signal?: AbortSignal) {
  const file = await disk.open(path, "r");
  const buffer = Buffer.allocUnsafe(turnBytes);
  return {
    /** Hashes up to `lengthMax` bytes at `offset`; the number read, 0 at the end. */
    async into(hash: Hash, offset: number, lengthMax: number): Promise<number> {
      signal?.throwIfAborted();
      const { bytesRead } = await file.read(buffer, 0, lengthMax, offset);
      hash.update(buffer.subarray(0, bytesRead));
      return bytesRead;
    },
    [Symbol.asyncDispose]: () => file.close(),
  };
}
