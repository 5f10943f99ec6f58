/**
 * The head of a boot image: everything that stands before its frames. See README.md for the layout. "Content" is what the
 * frames hold together once they are decompressed: pages of the image, in the order in which a boot first reads them.
 */
import { createHash } from "node:crypto";
import { BootFormatError, ByteReader } from "./byte-reader.ts";
import { ByteWriter } from "./byte-writer.ts";
import {
  coveredBytesMax,
  extentsMax,
  frameBytes,
  headBytesMax,
  pageBytes,
  profileBytesMax,
  sketchLengthMax,
  sourcesMax,
} from "./limits.ts";
import { type BootProfile, decodeProfile, encodeProfile } from "./profile.ts";

/** The first bytes of every boot image. */
export const bootImageMagic = Buffer.from("BSBOOTIM", "latin1");
const version = 1;
const digestBytes = 32;
/** Magic, version, length of the head, the image's digest and size: what `bootImageStart` reads. */
export const startBytes = 8 + 4 + 4 + digestBytes + 8;

/** A run of pages of the image, and where their bytes are. */
export interface Segment {
  /** The first page, by its number in the image. */
  page: number;
  pages: number;
  /** Zeros, this boot image's content, or a source's by its place in `sources`. */
  from: "zero" | "own" | number;
  /** The first page, by its number in that content; 0 for zeros. */
  at: number;
}

/** A boot image that has bytes which another leaves out. */
export interface BootSource {
  /** The boot image's own sha256. */
  digest: string;
  contentPages: number;
}

/** A part of the content, as it is stored. */
export interface Frame {
  storedBytes: number;
  /** Not compressed: it did not shrink. */
  plain: boolean;
  sha256: Buffer;
}

export interface BootImageHead {
  profile: BootProfile;
  sources: BootSource[];
  /** See sketch.ts. */
  sketch: bigint[];
  /** In order of first touch; no page is in two of them. */
  segments: Segment[];
  contentPages: number;
  frames: Frame[];
}

/** Length of the head and the image that it is of, from a boot image's first `startBytes`; undefined for other files. */
export function bootImageStart(
  start: Uint8Array,
): { headBytes: number; imageDigest: string; imageBytes: number } | undefined {
  if (start.length < bootImageMagic.length || !bootImageMagic.equals(start.subarray(0, bootImageMagic.length))) {
    return undefined;
  }
  const reader = new ByteReader(start);
  reader.take(bootImageMagic.length);
  const found = reader.u32();
  if (found !== version) throw new BootFormatError(`it has version ${found}, and only ${version} is known`);
  const headBytes = reader.u32();
  if (headBytes > headBytesMax || headBytes < startBytes) throw new BootFormatError("its head is out of all bounds");
  return { headBytes, imageDigest: reader.take(digestBytes).toString("hex"), imageBytes: reader.u64() };
}

/** Bytes that all frames take, which is what follows the head. */
export function framesBytes(head: BootImageHead): number {
  return head.frames.reduce((sum, { storedBytes }) => sum + storedBytes, 0);
}

/** Bytes of a frame's content. */
export function frameContentBytes(head: Pick<BootImageHead, "contentPages">, frame: number): number {
  return Math.min(frameBytes, head.contentPages * pageBytes - frame * frameBytes);
}

export function encodeHead(head: BootImageHead): Buffer {
  const profile = encodeProfile(head.profile);
  const writer = new ByteWriter().u32(profile.length).bytes(profile).varint(head.sources.length);
  for (const { digest, contentPages } of head.sources) writer.bytes(Buffer.from(digest, "hex")).varint(contentPages);
  writer.varint(head.sketch.length);
  for (const print of head.sketch) writer.u32(Number(print & 0xffffffffn)).u32(Number(print >> 32n));
  writer.varint(head.contentPages).varint(head.segments.length);
  let nextPage = 0;
  let nextOwn = 0;
  for (const segment of head.segments) {
    const isNext = segment.from === "own" && segment.at === nextOwn;
    writer.varint(segment.page >= nextPage ? (segment.page - nextPage) * 2 : (nextPage - segment.page) * 2 - 1);
    // 0: zeros; 1: the content that comes next; 2: content from elsewhere; 3 and more: a source's.
    const kind = segment.from === "zero" ? 0 : isNext ? 1 : segment.from === "own" ? 2 : 3 + segment.from;
    writer.varint(segment.pages).varint(kind);
    if (kind >= 2) writer.varint(segment.at);
    nextPage = segment.page + segment.pages;
    if (isNext) nextOwn += segment.pages;
  }
  writer.varint(head.frames.length);
  for (const { storedBytes, plain, sha256 } of head.frames)
    writer.varint(storedBytes * 2 + (plain ? 1 : 0)).bytes(sha256);
  const rest = writer.finish();
  const start = new ByteWriter().bytes(bootImageMagic).u32(version);
  start.u32(startBytes + rest.length + digestBytes);
  start.bytes(Buffer.from(head.profile.imageDigest, "hex")).u64(head.profile.imageBytes);
  const body = Buffer.concat([start.finish(), rest]);
  return Buffer.concat([body, createHash("sha256").update(body).digest()]);
}

/** @throws BootFormatError for what is no boot image's head, is damaged, or makes no sense. */
export function decodeHead(bytes: Uint8Array): BootImageHead {
  const start = bootImageStart(bytes);
  if (!start) throw new BootFormatError("it is no boot image");
  if (bytes.length !== start.headBytes) throw new BootFormatError("it is cut off");
  const body = bytes.subarray(0, bytes.length - digestBytes);
  if (!createHash("sha256").update(body).digest().equals(bytes.subarray(body.length))) {
    throw new BootFormatError("its head's checksum is wrong");
  }
  const reader = new ByteReader(body.subarray(startBytes));
  const profileBytes = reader.u32();
  if (profileBytes > profileBytesMax) throw new BootFormatError("its profile is larger than any");
  const profile = decodeProfile(reader.take(profileBytes));
  if (profile.imageDigest !== start.imageDigest || profile.imageBytes !== start.imageBytes) {
    throw new BootFormatError("its profile is another image's");
  }
  const sources = listOf(reader, sourcesMax, digestBytes + 1, () => {
    const digest = reader.take(digestBytes).toString("hex");
    return { digest, contentPages: pageCount(reader) };
  });
  const sketch = listOf(reader, sketchLengthMax, 8, () => BigInt(reader.u32()) + (BigInt(reader.u32()) << 32n));
  const contentPages = pageCount(reader);
  const segments = decodeSegments(reader, { profile, sources, contentPages });
  const frames = decodeFrames(reader, contentPages);
  if (reader.leftBytes > 0) throw new BootFormatError("something follows the end of its head");
  return { profile, sources, sketch, segments, contentPages, frames };
}

function decodeSegments(
  reader: ByteReader,
  { profile, sources, contentPages }: Pick<BootImageHead, "profile" | "sources" | "contentPages">,
): Segment[] {
  const imagePages = Math.ceil(profile.imageBytes / pageBytes);
  const seen = new Set<number>();
  let nextPage = 0;
  let nextOwn = 0;
  const segments = listOf(reader, extentsMax, 3, (): Segment => {
    const step = reader.varint();
    const page = step % 2 === 0 ? nextPage + step / 2 : nextPage - (step + 1) / 2;
    const pages = reader.varint();
    if (page < 0 || pages < 1 || page + pages > imagePages)
      throw new BootFormatError("a segment lies outside its image");
    if ((seen.size + pages) * pageBytes > coveredBytesMax) throw new BootFormatError("it has more than a boot reads");
    for (let each = page; each < page + pages; each++) {
      if (seen.has(each)) throw new BootFormatError("it has a page twice");
      seen.add(each);
    }
    nextPage = page + pages;
    const kind = reader.varint();
    if (kind === 0) return { page, pages, from: "zero", at: 0 };
    const at = kind === 1 ? nextOwn : reader.varint();
    if (kind === 1) nextOwn += pages;
    const pagesThere = kind <= 2 ? contentPages : sources[kind - 3]?.contentPages;
    if (pagesThere === undefined || at + pages > pagesThere)
      throw new BootFormatError("a segment lies outside the content");
    return { page, pages, from: kind <= 2 ? "own" : kind - 3, at };
  });
  return segments;
}

function decodeFrames(reader: ByteReader, contentPages: number): Frame[] {
  const framesMax = Math.ceil((contentPages * pageBytes) / frameBytes);
  const frames = listOf(reader, framesMax, 1 + digestBytes, (): Frame => {
    const text = reader.varint();
    const storedBytes = Math.floor(text / 2);
    if (storedBytes < 1 || storedBytes > frameBytes) throw new BootFormatError("a frame is out of all bounds");
    return { storedBytes, plain: text % 2 === 1, sha256: reader.take(digestBytes) };
  });
  if (frames.length !== framesMax) throw new BootFormatError("it has fewer frames than its content needs");
  frames.forEach(({ plain, storedBytes }, index) => {
    if (plain && storedBytes !== frameContentBytes({ contentPages }, index)) {
      throw new BootFormatError("a frame has not the length of its content");
    }
  });
  return frames;
}

function pageCount(reader: ByteReader): number {
  const pages = reader.varint();
  if (pages * pageBytes > coveredBytesMax) throw new BootFormatError("it has more than a boot reads");
  return pages;
}

/** A list whose count comes first. `itemBytesMin`: a few bytes cannot announce millions of items. */
function listOf<T>(reader: ByteReader, countMax: number, itemBytesMin: number, read: () => T): T[] {
  const count = reader.varint();
  if (count > countMax || count * itemBytesMin > reader.leftBytes)
    throw new BootFormatError("it has too much of something");
  return Array.from({ length: count }, read);
}
