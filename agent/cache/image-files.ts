/** An image's files beside its records: its bytes, and what tells which of them can be believed. */
import { Bitfield } from "../../swarm/bitfield.ts";
import { type Disk, flushPath } from "../../swarm/disk.ts";
import { HaveFile } from "../../swarm/have-file.ts";
import { infoBytesMax } from "../../swarm/limits.ts";
import { torrentInfoFromInfoBytes } from "../../swarm/metainfo.ts";
import type { TorrentInfo } from "../../swarm/types.ts";
import { readSmallFile } from "./durable-file.ts";
import type { ImagePaths } from "./layout.ts";

/** The torrent's info dictionary that is kept; undefined if there is none. Rejects if it cannot be read or is damaged. */
export async function readMetainfo(disk: Disk, paths: ImagePaths): Promise<TorrentInfo | undefined> {
  const bytes = await readSmallFile(disk, paths.metainfo, infoBytesMax);
  return bytes && torrentInfoFromInfoBytes(bytes);
}

/** Records that all pieces of the image's torrent are here but some. */
export async function recordPieces(
  disk: Disk,
  paths: ImagePaths,
  info: TorrentInfo,
  missing: readonly number[],
): Promise<void> {
  const have = Bitfield.full(info.pieceCount);
  for (const index of missing) have.remove(index);
  const file = await HaveFile.open(disk, paths.have, info);
  try {
    await file.note(have.bytes);
    await file.record(have.bytes);
  } finally {
    await file.close();
  }
  await flushPath(disk, paths.directory);
}

/** Removes an image's bytes and the torrent that they were pieces of. */
export async function removeBytes(disk: Disk, paths: ImagePaths): Promise<void> {
  await removeData(disk, paths);
  await disk.rm(paths.metainfo, { force: true });
}

/** Removes an image's bytes, and what tells which of them are here. */
export async function removeData(disk: Disk, paths: ImagePaths): Promise<void> {
  // The map before the territory, for good: after a loss of power it must not speak of data that is other or none.
  await disk.rm(paths.have, { force: true, recursive: true });
  await flushPath(disk, paths.directory);
  await disk.rm(paths.data, { force: true, recursive: true });
}
