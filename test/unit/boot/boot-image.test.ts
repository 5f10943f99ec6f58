import { createHash } from "node:crypto";
import { open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { decodeHead, encodeHead } from "../../../boot/boot-image.ts";
import { BootFormatError } from "../../../boot/byte-reader.ts";
import { pageBytes, sourceSavedBytesMin } from "../../../boot/limits.ts";
import type { Packed, PackSource } from "../../../boot/pack.ts";
import { pageHashOf } from "../../../boot/page-hashes.ts";
import { type BootProfile, coveredBytes, profileOfReads } from "../../../boot/profile.ts";
import { readFrames, readHead } from "../../../boot/read-file.ts";
import { likeness, sketchOf } from "../../../boot/sketch.ts";
import { imageOf, packed } from "../../fixtures/boot-images.ts";
import { makeTemporaryDirectory } from "../../fixtures/temporary-directory.ts";

const digest = "cd".repeat(32);
let directory: string;
let remove: () => Promise<void>;

beforeAll(async () => {
  ({ path: directory, remove } = await makeTemporaryDirectory());
});
afterAll(() => remove());

function profileOf(
  image: Buffer,
  reads: [number, number][] = [[0, image.length]],
  blockBytes = pageBytes,
): BootProfile {
  return profileOfReads({ digest, sizeBytes: image.length }, reads, blockBytes);
}

const pack = (image: Buffer, profile = profileOf(image), sources: PackSource[] = []) =>
  packed({ image, profile, sources });

/** The content of a boot image's file. */
async function contentOf(file: Buffer): Promise<Buffer> {
  const path = join(directory, "boot-image");
  await writeFile(path, file);
  await using handle = await open(path);
  const { head, headBytes } = await readHead(handle);
  const frames: Uint8Array[] = [];
  for await (const frame of readFrames(handle, head, headBytes)) frames.push(frame);
  return Buffer.concat(frames);
}

async function sourceOf(digest: string, image: Buffer): Promise<PackSource & { content: Buffer }> {
  const { file, head } = await pack(image);
  const content = await contentOf(file);
  const pageHashes = Array.from({ length: head.contentPages }, (_, page) =>
    pageHashOf(content.subarray(page * pageBytes, (page + 1) * pageBytes)),
  );
  return { digest, contentPages: head.contentPages, pageHashes, content };
}

/** Every page that a boot image has, put together again, is compared with the image. */
function expectPagesOf(image: Buffer, { head }: Packed, content: Buffer, sources: readonly Buffer[]): void {
  let bytes = 0;
  for (const { page, pages, from, at } of head.segments) {
    const there =
      from === "zero" ? Buffer.alloc(pages * pageBytes) : from === "own" ? content : (sources[from] as Buffer);
    const wanted = image.subarray(page * pageBytes, (page + pages) * pageBytes);
    const start = from === "zero" ? 0 : at * pageBytes;
    expect(there.subarray(start, start + wanted.length).equals(wanted)).toBe(true);
    bytes += wanted.length;
  }
  expect(bytes).toBe(coveredBytes(head.profile));
}

describe("a boot image", () => {
  test("has the bytes of its profile's extents, whatever repeats and whatever is zeros", async () => {
    const images = fc.tuple(
      fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 1, maxLength: 80 }),
      fc.nat(pageBytes - 1),
    );
    const reads = fc.array(fc.tuple(fc.nat(1_000_000), fc.integer({ min: 1, max: 100_000 })), { maxLength: 10 });
    await fc.assert(
      fc.asyncProperty(images, reads, fc.constantFrom(pageBytes, 65_536), async ([pages, cut], reads, blockBytes) => {
        const image = imageOf(pages, cut);
        const profile = profileOf(
          image,
          reads.map(([offset, length]) => [offset % image.length, length]),
          blockBytes,
        );
        const packed = await pack(image, profile);
        expectPagesOf(image, packed, await contentOf(packed.file), []);
        expect(decodeHead(packed.headBytes)).toEqual(packed.head);
      }),
      { numRuns: 50 },
    );
  });

  test("stores its content in the order of the boot's reads, a repeated page once and zeros not at all", async () => {
    const packed = await pack(
      imageOf([1, 0, 2, 1]),
      profileOf(imageOf([1, 0, 2, 1]), [
        [8_192, 1],
        [0, 1],
        [4_096, 1],
        [12_288, 1],
      ]),
    );
    expect(packed.head.contentPages).toBe(2);
    expect(packed).toMatchObject({ coveredBytes: 16_384, zeroBytes: 4_096, repeatedBytes: 4_096, sharedBytes: 0 });
    expect((await contentOf(packed.file)).equals(imageOf([2, 1]))).toBe(true);
  });

  test("refers to a like image's boot image for the pages that both have", async () => {
    const shared = Array.from({ length: sourceSavedBytesMin / pageBytes + 10 }, (_, index) => index + 1);
    const source = await sourceOf("11".repeat(32), imageOf([...shared, 5_000]));
    const image = imageOf([6_000, ...shared.slice(5), 6_001, ...shared.slice(0, 5)]);
    const packed = await pack(image, profileOf(image), [source]);
    expect(packed.head.sources).toEqual([{ digest: source.digest, contentPages: source.contentPages }]);
    expect(packed.head.contentPages).toBe(2);
    expect(packed.sharedBytes).toBe(shared.length * pageBytes);
    expectPagesOf(image, packed, await contentOf(packed.file), [source.content]);
    expect(decodeHead(packed.headBytes)).toEqual(packed.head);
  });

  test("refers to none that would save little, or nothing beside the others", async () => {
    const shared = Array.from({ length: sourceSavedBytesMin / pageBytes }, (_, index) => index + 1);
    const one = await sourceOf("11".repeat(32), imageOf(shared));
    const same = { ...one, digest: "22".repeat(32) };
    const little = await sourceOf("33".repeat(32), imageOf([7_000, 7_001]));
    const image = imageOf([...shared, 7_000, 7_001, 7_002]);
    const packed = await pack(image, profileOf(image), [little, one, same]);
    expect(packed.head.sources.map(({ digest }) => digest)).toEqual([one.digest]);
  });

  test("compresses what shrinks, and stores the rest as it is", async () => {
    const text = Buffer.alloc(2 * 1024 * 1024, "a boot reads much the same ");
    for (let page = 0; page * pageBytes < text.length; page++) text.writeUInt32LE(page, page * pageBytes);
    expect((await pack(text)).framesBytes).toBeLessThan(text.length / 4);
    const noise = imageOf(Array.from({ length: 300 }, (_, index) => index + 1));
    for (let at = 0; at < noise.length; at += 4) noise.writeUInt32LE(Math.imul(at ^ 0x5bd1e995, 0x9e3779b1) >>> 0, at);
    const { file } = await pack(noise);
    expect((await contentOf(file)).equals(noise)).toBe(true);
  });

  test("with any byte changed, or cut anywhere, gives no byte of that frame or of any", async () => {
    const { file } = await pack(imageOf([1, 2, 0, 3, 3, 4]));
    await fc.assert(
      fc.asyncProperty(fc.nat(file.length - 1), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
        const changed = Buffer.from(file);
        changed[at] = (changed[at] as number) ^ flip;
        await expect(contentOf(changed)).rejects.toThrow(BootFormatError);
        await expect(contentOf(file.subarray(0, at))).rejects.toThrow(BootFormatError);
      }),
      { numRuns: 60 },
    );
    await expect(contentOf(Buffer.concat([file, Buffer.of(0)]))).rejects.toThrow("not the length that its head says");
  });

  test("whose head says anything at all is read within bounds, or refused", async () => {
    const source = { digest: "22".repeat(32), contentPages: 3, pageHashes: [] };
    const { head } = await pack(imageOf([1, 2, 0, 3, 3, 4, 5]));
    const body = encodeHead({ ...head, sources: [source] }).subarray(0, -32);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 16, max: body.length - 1 }), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        (changes) => {
          const changed = Buffer.from(body);
          for (const [at, byte] of changes) changed[at] = byte;
          // The profile within has a checksum of its own, so that most changes reach what follows it.
          const sealed = Buffer.concat([changed, createHash("sha256").update(changed).digest()]);
          try {
            for (const { page, pages } of decodeHead(sealed).segments) expect(page + pages).toBeLessThanOrEqual(7);
          } catch (error) {
            expect(error).toBeInstanceOf(BootFormatError);
          }
        },
      ),
    );
  });

  test("is refused where its head makes no sense, though its checksum is right", async () => {
    const { head } = await pack(imageOf([1, 2, 3]));
    const [segment] = head.segments as [(typeof head.segments)[0]];
    const wrong = (changes: Partial<typeof head>) => () => decodeHead(encodeHead({ ...head, ...changes }));
    expect(wrong({ segments: [{ ...segment, pages: 4 }] })).toThrow("a segment lies outside its image");
    expect(wrong({ segments: [segment, segment] })).toThrow("it has a page twice");
    expect(wrong({ segments: [{ ...segment, at: 1 }] })).toThrow("a segment lies outside the content");
    expect(wrong({ segments: [{ ...segment, from: 0 }] })).toThrow("a segment lies outside the content");
    expect(wrong({ frames: [] })).toThrow("fewer frames");
    expect(wrong({ contentPages: 2 ** 40 })).toThrow("more than a boot reads");
  });
});

describe("a sketch", () => {
  test("tells how alike two boot images are", () => {
    const hashes = (from: number, to: number) =>
      Array.from({ length: to - from }, (_, index) => pageHashOf(Buffer.from(`page ${from + index}`)));
    expect(likeness(sketchOf(hashes(0, 5_000)), sketchOf(hashes(0, 5_000)))).toBe(1);
    expect(likeness(sketchOf(hashes(0, 5_000)), sketchOf(hashes(5_000, 10_000)))).toBe(0);
    // Half of all their pages are in both.
    const half = likeness(sketchOf(hashes(0, 6_000)), sketchOf(hashes(2_000, 8_000)));
    expect(half).toBeGreaterThan(0.35);
    expect(half).toBeLessThan(0.65);
    expect(likeness([], [])).toBe(0);
  });
});
