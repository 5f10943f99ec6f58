/** The images of a simulated catalog: their bytes, and what the catalog says of them. */
import { createHash } from "node:crypto";
import type { ImageFacts } from "../../../agent/cache/records.ts";
import { infoBytesOf, torrentInfoFromInfoBytes } from "../../../swarm/metainfo.ts";
import type { TorrentInfo } from "../../../swarm/types.ts";
import type { Random } from "../random.ts";

export const pieceBytes = 16 * 1024;

export interface SimImage {
  bytes: Buffer;
  facts: ImageFacts;
  /** Undefined for one that has no torrent and comes by HTTP. */
  info: TorrentInfo | undefined;
}

export function makeImage(random: Random, name: string, pieceCount: number, hasTorrent = true): SimImage {
  const bytes = random.bytes(pieceCount * pieceBytes - random.whole(0, pieceBytes - 1));
  // A third of them have pieces of zeros, as disk images do.
  const every = bytes[0]! < 85 ? 2 + (bytes[1]! % 3) : Number.POSITIVE_INFINITY;
  for (let index = 1; every < pieceCount && index < pieceCount; index += every)
    bytes.subarray(index * pieceBytes, (index + 1) * pieceBytes).fill(0);
  const digest = createHash("sha256").update(bytes).digest("hex");
  const info = hasTorrent ? infoOf(bytes, name) : undefined;
  const infohash = info?.infohash ?? "";
  return {
    bytes,
    info,
    facts: {
      digest,
      names: [name],
      sizeBytes: bytes.length,
      format: "raw",
      virtualSizeBytes: bytes.length,
      infohash,
      magnetUri: infohash && `magnet:?xt=urn:btih:${infohash}`,
      dataPath: `/images/${digest}/data`,
    },
  };
}

function infoOf(bytes: Buffer, name: string): TorrentInfo {
  const hashes: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    const piece = bytes.subarray(at, at + pieceBytes);
    hashes.push(createHash("sha1").update(piece).digest());
  }
  const pieceHashes = Buffer.concat(hashes);
  const lengthBytes = bytes.length;
  return torrentInfoFromInfoBytes(infoBytesOf({ name, lengthBytes, pieceLengthBytes: pieceBytes, pieceHashes }));
}
