/**
 * A boot profile: which extents of an image a boot reads, in the order of first touch. Small, so that it can be where the
 * bytes are not: it says in which order an image's pieces are wanted.
 */
import { createHash } from "node:crypto";
import { BootFormatError, ByteReader } from "./byte-reader.ts";
import { ByteWriter } from "./byte-writer.ts";
import {
  coveredBytesMax,
  extentsMax,
  imageBytesMax,
  pageBytes,
  profileBlockBytesDefault,
  profileBlockBytesMax,
  profileBytesMax,
} from "./limits.ts";

const magic = Buffer.from("BSBOOTPR", "latin1");
const version = 1;
const checksumBytes = 32;

/** A byte range of an image. */
export interface ProfileExtent {
  offset: number;
  length: number;
}

export interface BootProfile {
  /** Sha256 of the image, 64 lower-case hex digits. */
  imageDigest: string;
  imageBytes: number;
  /** Extents begin and end at multiples of it, or with the image. */
  blockBytes: number;
  /** In order of first touch; no block is in two of them. */
  extents: ProfileExtent[];
}

/** Reads of an image, in order. */
export type BootReads = Iterable<readonly [offset: number, length: number]>;

/**
 * Makes a profile of a boot's reads: each block where it was first touched, blocks touched one after the other that are
 * neighbours in one extent. What lies outside the image is left out, and what comes when `coveredBytesMax` is reached.
 */
export function profileOfReads(
  image: { digest: string; sizeBytes: number },
  reads: BootReads,
  blockBytes = profileBlockBytesDefault,
): BootProfile {
  const touched = new Set<number>();
  const extents: ProfileExtent[] = [];
  const blocksMax = Math.floor(coveredBytesMax / blockBytes);
  for (const [offset, length] of reads) {
    const end = Math.min(offset + length, image.sizeBytes);
    for (let block = Math.floor(offset / blockBytes); block * blockBytes < end; block++) {
      if (touched.has(block)) continue;
      if (touched.size === blocksMax) break;
      touched.add(block);
      const start = block * blockBytes;
      const bytes = Math.min(blockBytes, image.sizeBytes - start);
      const last = extents.at(-1);
      if (last && last.offset + last.length === start) last.length += bytes;
      else extents.push({ offset: start, length: bytes });
    }
  }
  return { imageDigest: image.digest, imageBytes: image.sizeBytes, blockBytes, extents };
}

/** Bytes of the image that a profile covers. */
export function coveredBytes(profile: BootProfile): number {
  return profile.extents.reduce((sum, { length }) => sum + length, 0);
}

export function encodeProfile(profile: BootProfile): Buffer {
  const { blockBytes } = profile;
  const writer = new ByteWriter().bytes(magic).u32(version).u32(blockBytes).u64(profile.imageBytes);
  writer.bytes(Buffer.from(profile.imageDigest, "hex")).varint(profile.extents.length);
  let next = 0;
  for (const { offset, length } of profile.extents) {
    const block = offset / blockBytes;
    const blocks = Math.ceil(length / blockBytes);
    writer.varint(zigzag(block - next)).varint(blocks);
    next = block + blocks;
  }
  const bytes = writer.finish();
  return Buffer.concat([bytes, checksumOf(bytes)]);
}

/** @throws BootFormatError for what is no profile, is damaged, or does not fit its own image. */
export function decodeProfile(bytes: Uint8Array): BootProfile {
  if (bytes.length > profileBytesMax) throw new BootFormatError("it is larger than any boot profile");
  if (bytes.length < checksumBytes) throw new BootFormatError("it is cut off");
  const body = bytes.subarray(0, bytes.length - checksumBytes);
  const reader = new ByteReader(body);
  if (!reader.take(magic.length).equals(magic)) throw new BootFormatError("it is no boot profile");
  if (!checksumOf(body).equals(bytes.subarray(body.length))) throw new BootFormatError("its checksum is wrong");
  const found = reader.u32();
  if (found !== version) throw new BootFormatError(`it has version ${found}, and only ${version} is known`);
  const blockBytes = reader.u32();
  const imageBytes = reader.u64();
  if (!isBlockSize(blockBytes)) throw new BootFormatError(`${blockBytes} bytes can be no block size`);
  if (imageBytes < 1 || imageBytes > imageBytesMax) throw new BootFormatError(`no image has ${imageBytes} bytes`);
  const imageDigest = reader.take(32).toString("hex");
  const extents = decodeExtents(reader, blockBytes, imageBytes);
  if (reader.leftBytes > 0) throw new BootFormatError("something follows its end");
  return { imageDigest, imageBytes, blockBytes, extents };
}

function decodeExtents(reader: ByteReader, blockBytes: number, imageBytes: number): ProfileExtent[] {
  const count = reader.varint();
  // Each takes two bytes at least, so that a few bytes cannot announce millions.
  if (count > extentsMax || count * 2 > reader.leftBytes) throw new BootFormatError("it has too many extents");
  const extents: ProfileExtent[] = [];
  const seen = new Set<number>();
  const imageBlocks = Math.ceil(imageBytes / blockBytes);
  let next = 0;
  for (let index = 0; index < count; index++) {
    const block = next + unzigzag(reader.varint());
    const blocks = reader.varint();
    if (block < 0 || blocks < 1 || block + blocks > imageBlocks) {
      throw new BootFormatError("an extent lies outside its image");
    }
    if ((seen.size + blocks) * blockBytes > coveredBytesMax)
      throw new BootFormatError("it covers more than a boot reads");
    for (let each = block; each < block + blocks; each++) {
      if (seen.has(each)) throw new BootFormatError("it has a block twice");
      seen.add(each);
    }
    next = block + blocks;
    const offset = block * blockBytes;
    extents.push({ offset, length: Math.min(next * blockBytes, imageBytes) - offset });
  }
  return extents;
}

function isBlockSize(bytes: number): boolean {
  return bytes >= pageBytes && bytes <= profileBlockBytesMax && (bytes & (bytes - 1)) === 0;
}

function zigzag(value: number): number {
  return value < 0 ? -value * 2 - 1 : value * 2;
}

function unzigzag(value: number): number {
  return value % 2 === 1 ? -(value + 1) / 2 : value / 2;
}

function checksumOf(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}
