/** Makes a boot image of a profile and the image's bytes. */
import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { constants, zstdCompress } from "node:zlib";
import { type BootImageHead, encodeHead, type Frame, type Segment } from "./boot-image.ts";
import { frameBytes, pageBytes, sourceSavedBytesMin } from "./limits.ts";
import { isZeroPage, pageHashOf } from "./page-hashes.ts";
import type { BootProfile } from "./profile.ts";
import { sketchOf } from "./sketch.ts";

const compress = promisify(zstdCompress);
/** A Debian boot shrinks to 0.58 of itself in 0.3 s; level 1 to 0.60 in 0.26 s, level 9 to 0.57 in 1.0 s. */
const compressionLevel = 3;

/** A boot image that may have some of the pages. */
export interface PackSource {
  digest: string;
  contentPages: number;
  /** By page-hashes.ts, in the order of its content. */
  pageHashes: readonly string[];
}

export interface PackOptions {
  profile: BootProfile;
  /** Bytes of the image that were verified. */
  readImage: (offset: number, length: number) => Promise<Uint8Array>;
  /** Finds, by its sketch, boot images that are alike: at most `sourcesMax`, best first. Those that save little are left out. */
  sources: (sketch: readonly bigint[]) => Promise<readonly PackSource[]>;
  /** Takes the stored frames, in order: they follow the head in the file. */
  write: (bytes: Uint8Array) => Promise<void>;
}

export interface Packed {
  head: BootImageHead;
  headBytes: Buffer;
  /** What the profile covers; the share of it that is zeros, in a source, or there twice is not stored. */
  coveredBytes: number;
  zeroBytes: number;
  sharedBytes: number;
  repeatedBytes: number;
  framesBytes: number;
}

/** Reads every byte of the profile's extents once, and writes what of them is to be stored. */
export async function packBootImage(options: PackOptions): Promise<Packed> {
  const hashes = await hashPages(options);
  const sketch = sketchOf(hashes.filter((hash) => hash !== zeroHash));
  const sources = worthwhileSources(hashes, await options.sources(sketch));
  const plan = planSegments(options.profile, hashes, sources);
  const frames = await writeFrames(options, plan);
  const head: BootImageHead = {
    profile: options.profile,
    sources: sources.map(({ digest, contentPages }) => ({ digest, contentPages })),
    sketch,
    segments: plan.segments,
    contentPages: plan.ownPages.length,
    frames,
  };
  const count = (from: (segment: Segment) => boolean) =>
    plan.segments.filter(from).reduce((sum, { pages }) => sum + pages * pageBytes, 0);
  return {
    head,
    headBytes: encodeHead(head),
    coveredBytes: hashes.length * pageBytes,
    zeroBytes: count(({ from }) => from === "zero"),
    sharedBytes: count(({ from }) => typeof from === "number"),
    repeatedBytes: count(({ from }) => from === "own") - plan.ownPages.length * pageBytes,
    framesBytes: frames.reduce((sum, { storedBytes }) => sum + storedBytes, 0),
  };
}

/** Stands for a page of zeros in place of its hash. */
const zeroHash = "";

/** The hash of every page of the profile, in its order. */
async function hashPages({ profile, readImage }: PackOptions): Promise<string[]> {
  const hashes: string[] = [];
  for await (const pages of pagesOf(profile, readImage)) {
    for (let at = 0; at < pages.length; at += pageBytes) {
      const page = pages.subarray(at, at + pageBytes);
      hashes.push(isZeroPage(page) ? zeroHash : pageHashOf(page));
    }
  }
  return hashes;
}

/** The image's bytes in a profile's order, a frame's worth at most at a time; a last page that is cut is filled with zeros. */
async function* pagesOf(profile: BootProfile, readImage: PackOptions["readImage"]): AsyncGenerator<Buffer> {
  for (const { offset, length } of profile.extents) {
    for (let at = 0; at < length; at += frameBytes) {
      const bytes = await readImage(offset + at, Math.min(frameBytes, length - at));
      const whole = Math.ceil(bytes.length / pageBytes) * pageBytes;
      yield Buffer.concat([bytes], whole);
    }
  }
}

/** Those sources that save enough of what the sources before them have not saved already. */
function worthwhileSources(hashes: readonly string[], sources: readonly PackSource[]): PackSource[] {
  const left = new Set(hashes);
  left.delete(zeroHash);
  return sources.filter(({ pageHashes }) => {
    const saved = new Set(pageHashes).intersection(left);
    if (saved.size * pageBytes < sourceSavedBytesMin) return false;
    for (const hash of saved) left.delete(hash);
    return true;
  });
}

interface Plan {
  segments: Segment[];
  /** The image's pages that make up the content, in its order. */
  ownPages: number[];
}

function planSegments(profile: BootProfile, hashes: readonly string[], sources: readonly PackSource[]): Plan {
  const places = new Map<string, Pick<Segment, "from" | "at">>();
  // The first source has the last word.
  for (const [from, { pageHashes }] of [...sources.entries()].reverse()) {
    for (const [at, hash] of [...pageHashes.entries()].reverse()) places.set(hash, { from, at });
  }
  places.set(zeroHash, { from: "zero", at: 0 });
  const segments: Segment[] = [];
  const ownPages: number[] = [];
  const pages = profile.extents.flatMap(({ offset, length }) =>
    Array.from({ length: Math.ceil(length / pageBytes) }, (_, index) => offset / pageBytes + index),
  );
  for (const [index, page] of pages.entries()) {
    const hash = hashes[index] as string;
    let place = places.get(hash);
    if (!place) {
      place = { from: "own", at: ownPages.length };
      places.set(hash, place);
      ownPages.push(page);
    }
    const last = segments.at(-1);
    if (last && continues(last, page, place)) last.pages += 1;
    else segments.push({ page, pages: 1, ...place });
  }
  return { segments, ownPages };
}

function continues(last: Segment, page: number, { from, at }: Pick<Segment, "from" | "at">): boolean {
  if (last.page + last.pages !== page || last.from !== from) return false;
  return from === "zero" || last.at + last.pages === at;
}

/** Compresses the content and hands it on, frame by frame. */
async function writeFrames({ profile, readImage, write }: PackOptions, { ownPages }: Plan): Promise<Frame[]> {
  const frames: Frame[] = [];
  const pagesPerFrame = frameBytes / pageBytes;
  for (let first = 0; first < ownPages.length; first += pagesPerFrame) {
    const content = await readPages(ownPages.slice(first, first + pagesPerFrame), profile.imageBytes, readImage);
    const compressed = await compress(content, { params: { [constants.ZSTD_c_compressionLevel]: compressionLevel } });
    const plain = compressed.length >= content.length;
    const stored = plain ? content : compressed;
    frames.push({ storedBytes: stored.length, plain, sha256: createHash("sha256").update(stored).digest() });
    await write(stored);
  }
  return frames;
}

/** Reads pages of the image, neighbours at once. */
async function readPages(
  pages: readonly number[],
  imageBytes: number,
  readImage: PackOptions["readImage"],
): Promise<Buffer> {
  const content = Buffer.alloc(pages.length * pageBytes);
  for (let first = 0, end = 0; first < pages.length; first = end) {
    for (end = first + 1; end < pages.length && pages[end] === (pages[end - 1] as number) + 1; ) end++;
    const offset = (pages[first] as number) * pageBytes;
    content.set(await readImage(offset, Math.min((end - first) * pageBytes, imageBytes - offset)), first * pageBytes);
  }
  return content;
}
