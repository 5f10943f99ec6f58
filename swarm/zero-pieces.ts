/**
 * Pieces that are all zeros: their hashes say so. Nobody need send them, since a file that is new reads as zeros; of a disk
 * image that is mostly the greater part. Pure.
 */
import { createHash } from "node:crypto";
import { Bitfield } from "./bitfield.ts";
import { pieceBytesOf, pieceHashOf } from "./metainfo.ts";
import type { TorrentInfo } from "./types.ts";

const partBytes = 64 * 1024;
const zeros = Buffer.alloc(partBytes);

/** The pieces of a torrent whose bytes are all zeros. */
export function zeroPiecesOf(info: TorrentInfo): Bitfield {
  const { pieceCount, pieceLengthBytes } = info;
  const found = new Bitfield(pieceCount);
  if (pieceCount === 0) return found;
  const last = pieceCount - 1;
  const lastBytes = pieceBytesOf(info, last);
  const whole = hashOfZeros(pieceLengthBytes);
  for (let index = 0; index < last; index++) if (whole.equals(pieceHashOf(info, index))) found.add(index);
  const ending = lastBytes === pieceLengthBytes ? whole : hashOfZeros(lastBytes);
  if (ending.equals(pieceHashOf(info, last))) found.add(last);
  return found;
}

/** A piece may have 64 MiB: they need not be in memory to be hashed. */
function hashOfZeros(bytes: number): Buffer {
  const hash = createHash("sha1");
  for (let left = bytes; left > 0; left -= partBytes) hash.update(zeros.subarray(0, Math.min(left, partBytes)));
  return hash.digest();
}
