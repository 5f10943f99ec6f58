/** Info dictionaries, .torrent files and magnet links (BEP 3, BEP 9): made, and read with every field checked. */
import { createHash } from "node:crypto";
import bencode from "bencode";
import { type BencodeDictionary, decodeBencode, isDictionary } from "./bencode.ts";
import { infoBytesMax, nameBytesMax, pieceLengthBytesMax, pieceLengthBytesMin, piecesMax } from "./limits.ts";
import type { Endpoint, TorrentInfo } from "./types.ts";

const hashBytes = 20;

/** What stands around the info dictionary in a .torrent file that has nothing else. */
const metainfoHead = Buffer.from("d4:info");
const metainfoTail = Buffer.from("e");

/**
 * Pieces aimed at per image: a piece can be passed on, and read by a VM that waits for it, only when it is whole; each costs
 * 20 bytes of metainfo and one have message per peer. From 128 KiB on, reads that wait gain more by smaller pieces than
 * fewer messages save, up to four times as many.
 */
const piecesAimedAt = 4_096;
const piecesAimedAtMost = 16_384;
const readableLengthBytes = 128 * 1024;
const chosenLengthBytesMin = 32 * 1024;
const chosenLengthBytesMax = 4 * 1024 * 1024;

/** The piece length for data of `sizeBytes`, a power of two; for data of unknown size, one that fits up to 2 TiB. */
export function pieceLengthFor(sizeBytes: number | undefined): number {
  if (sizeBytes === undefined) return 1024 * 1024;
  let length = chosenLengthBytesMin;
  const piecesMost = () => (length < readableLengthBytes ? piecesAimedAt : piecesAimedAtMost);
  while (length < chosenLengthBytesMax && sizeBytes / length > piecesMost()) length *= 2;
  while (length < pieceLengthBytesMax && sizeBytes / length > piecesMax) length *= 2;
  return length;
}

/** The bencoded info dictionary of a single-file torrent. `pieceHashes` holds 20 bytes a piece. */
export function infoBytesOf(fields: {
  name: string;
  lengthBytes: number;
  pieceLengthBytes: number;
  pieceHashes: Uint8Array;
}): Uint8Array {
  return bencode.encode({
    length: fields.lengthBytes,
    name: fields.name,
    "piece length": fields.pieceLengthBytes,
    pieces: fields.pieceHashes,
  });
}

/**
 * Reads an info dictionary.
 *
 * @throws Error saying what is wrong: not bencoded, more than one file, lengths that do not agree or are beyond limits.
 */
export function torrentInfoFromInfoBytes(infoBytes: Uint8Array): TorrentInfo {
  if (infoBytes.length > infoBytesMax) throw new Error(`info dictionary of ${infoBytes.length} bytes is too large`);
  const fields = dictionaryFrom(infoBytes);
  if (fields.pieces === undefined && fields["meta version"] === 2) {
    throw new Error(
      "the torrent is of BitTorrent v2 alone, which has no SHA-1 of its pieces; v1 or a hybrid is needed",
    );
  }
  if (fields.files !== undefined) throw new Error("torrents of several files are not images");
  const lengthBytes = wholeNumber(fields, "length", 0, Number.MAX_SAFE_INTEGER);
  const pieceLengthBytes = wholeNumber(fields, "piece length", pieceLengthBytesMin, pieceLengthBytesMax);
  const pieceHashes = byteString(fields, "pieces");
  const nameBytes = byteString(fields, "name");
  if (nameBytes.length > nameBytesMax) throw new Error("the torrent's name is too long");
  const pieceCount = Math.ceil(lengthBytes / pieceLengthBytes);
  if (pieceCount > piecesMax) throw new Error(`${pieceCount} pieces are more than ${piecesMax}`);
  if (pieceHashes.length !== pieceCount * hashBytes) {
    throw new Error(`${pieceHashes.length} bytes of piece hashes do not fit ${pieceCount} pieces`);
  }
  return {
    infohash: createHash("sha1").update(infoBytes).digest("hex"),
    name: Buffer.from(nameBytes).toString("utf8"),
    lengthBytes,
    pieceLengthBytes,
    pieceCount,
    // Copies: what the decoder gives are views that would keep a whole message alive.
    pieceHashes: Uint8Array.from(pieceHashes),
    infoBytes: Uint8Array.from(infoBytes),
  };
}

/** A .torrent file's bytes. It names no tracker: peers are found by DHT. */
export function metainfoOf(info: TorrentInfo): Uint8Array {
  // The info dictionary goes in as it was hashed: decoding and encoding it again could change its bytes.
  return Buffer.concat([metainfoHead, info.infoBytes, metainfoTail]);
}

/**
 * The info dictionary in a .torrent file as `metainfoOf` makes it, as it was hashed.
 *
 * @throws Error if it is not made so
 */
export function infoBytesFromMetainfo(metainfo: Uint8Array): Uint8Array {
  const bytes = Buffer.from(metainfo.buffer, metainfo.byteOffset, metainfo.byteLength);
  const isOurs = bytes.subarray(0, metainfoHead.length).equals(metainfoHead) && bytes.at(-1) === metainfoTail[0];
  if (!isOurs) throw new Error("that is no .torrent file of a seeder");
  return bytes.subarray(metainfoHead.length, -metainfoTail.length);
}

/** The magnet link (BEP 9), with `peers` as x.pe. */
export function magnetUriOf(
  info: Pick<TorrentInfo, "infohash" | "name" | "lengthBytes">,
  peers: readonly Endpoint[] = [],
): string {
  const name = encodeURIComponent(info.name);
  const addresses = peers.map(({ host, port }) => `&x.pe=${host.includes(":") ? `[${host}]` : host}:${port}`).join("");
  return `magnet:?xt=urn:btih:${info.infohash}&dn=${name}&xl=${info.lengthBytes}${addresses}`;
}

/** The length in bytes of a piece; only the last may be shorter than the torrent's piece length. */
export function pieceBytesOf(info: TorrentInfo, index: number): number {
  return Math.min(info.pieceLengthBytes, info.lengthBytes - index * info.pieceLengthBytes);
}

/** The expected SHA-1 of a piece. */
export function pieceHashOf(info: TorrentInfo, index: number): Uint8Array {
  return info.pieceHashes.subarray(index * hashBytes, (index + 1) * hashBytes);
}

function dictionaryFrom(bytes: Uint8Array): BencodeDictionary {
  const value = decodeBencode(bytes);
  if (!isDictionary(value)) throw new Error("the info dictionary is no dictionary");
  return value;
}

function wholeNumber(fields: Record<string, unknown>, key: string, min: number, max: number): number {
  const value = fields[key];
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < min || value > max) {
    throw new Error(`the info dictionary's "${key}" must be a whole number from ${min} to ${max}`);
  }
  return value;
}

function byteString(fields: Record<string, unknown>, key: string): Uint8Array {
  const value = fields[key];
  if (!(value instanceof Uint8Array)) throw new Error(`the info dictionary's "${key}" must be a byte string`);
  return value;
}
