import { createHash } from "node:crypto";
import { getEventListeners } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BootMemory } from "../../../agent/disk/boot/boot-memory.ts";
import { BootImageDisk } from "../../../agent/disk/boot-image-disk.ts";
import { type Disk, DiskReadError } from "../../../agent/disk/disk.ts";
import { LogDisk } from "../../../agent/disk/log-disk.ts";
import type { BootImageFiles } from "../../../agent/disk/messages.ts";
import { pageBytes, sourceSavedBytesMin } from "../../../boot/limits.ts";
import { pageHashOf } from "../../../boot/page-hashes.ts";
import { profileOfReads } from "../../../boot/profile.ts";
import { imageOf, packed } from "../../fixtures/boot-images.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const idle = new AbortController().signal;
const pagesOf = (count: number, from = 1) => Array.from({ length: count }, (_, index) => from + index);

/** A disk of an image's bytes, which notes what is read of it. */
function diskOf(image: Buffer, isHere = true): Disk & { readRanges: [number, number][] } {
  const readRanges: [number, number][] = [];
  const read = (target: Uint8Array, offset: number) => {
    readRanges.push([offset, target.length]);
    target.set(image.subarray(offset, offset + target.length));
  };
  return {
    readRanges,
    sizeBytes: image.length,
    isHere: () => isHere,
    preadNow: (target, offset) => {
      if (isHere) read(target, offset);
      return isHere;
    },
    pread: async (target, offset) => read(target, offset),
    extents: (offset, length) => [{ offset, length, hole: false }],
  };
}

interface Made {
  image: Buffer;
  /** As the memory is told of it. */
  of: { digest: string; sizeBytes: number };
  files: BootImageFiles;
  pages: number;
}

/** An image, and the file of a boot image of some of its reads. */
async function makeBootImage(
  directory: string,
  image: Buffer,
  options: { reads?: [number, number][]; source?: Made; change?: (file: Buffer) => void } = {},
): Promise<Made> {
  const of = { digest: sha256(image), sizeBytes: image.length };
  const profile = profileOfReads(of, options.reads ?? [[0, image.length]], pageBytes);
  const { source } = options;
  const sources = source
    ? [
        {
          digest: source.files.digest,
          contentPages: source.pages,
          pageHashes: Array.from({ length: source.pages }, (_, page) =>
            pageHashOf(source.image.subarray(page * pageBytes, (page + 1) * pageBytes)),
          ),
        },
      ]
    : [];
  const { file, head } = await packed({ image, profile, sources });
  const digest = sha256(file);
  options.change?.(file);
  const path = join(directory, digest);
  await writeFile(path, file);
  const files = { digest, path, sources: source ? [{ digest: source.files.digest, path: source.files.path }] : [] };
  return { image, of, files, pages: head.contentPages };
}

function memoryOf(bytesMax: number) {
  const bad: { digest: string; error: string; isDamaged: boolean }[] = [];
  const memory = new BootMemory({
    onBad: (digest, _path, error, isDamaged) => void bad.push({ digest, error, isDamaged }),
  });
  memory.setBudget(bytesMax);
  return { memory, bad };
}

function layerOn(memory: BootMemory, { image, of }: Made, isHere = true) {
  const below = diskOf(image, isHere);
  const disk = new BootImageDisk({
    below,
    index: () => memory.indexOf(of.digest),
    onServed: (index, _bytes, isWhole) => memory.noteRead(index, isWhole),
  });
  return { below, disk };
}

const settled = async (memory: BootMemory, { of }: Made) => {
  for (const content of memory.indexOf(of.digest)?.contents ?? []) await content.settled;
};

async function readBytes(disk: Disk, offset: number, length: number): Promise<Buffer> {
  const target = Buffer.alloc(length, 0xee);
  if (!disk.preadNow(target, offset, false)) await disk.pread(target, offset, idle);
  return target;
}

describe("a disk with a boot image", () => {
  test("reads what the image has, whatever of it comes from memory", async () => {
    const directory = await temporaryDirectory();
    const image = imageOf([1, 0, 2, 3, 3, 0, 0, 4, 5, 6, 1, 0, 7], 1_000);
    const made = await makeBootImage(directory, image, {
      reads: [
        [20_000, 9_000],
        [0, 5_000],
        [45_000, 8_000],
      ],
    });
    const { memory } = memoryOf(2 ** 20);
    await memory.use(made.of, made.files);
    const ranges = fc
      .tuple(fc.nat(image.length - 1), fc.integer({ min: 1, max: 30_000 }))
      .map(([offset, length]) => [offset, Math.min(length, image.length - offset)] as const);
    await fc.assert(
      fc.asyncProperty(ranges, fc.boolean(), async ([offset, length], isHere) => {
        const { disk } = layerOn(memory, made, isHere);
        expect((await readBytes(disk, offset, length)).equals(image.subarray(offset, offset + length))).toBe(true);
      }),
    );
  });

  test("answers at once and alone what the boot image has, and asks below for the rest only", async () => {
    const made = await makeBootImage(await temporaryDirectory(), imageOf([1, 2, 0, 3, 4]), {
      reads: [[4_096, 12_288]],
    });
    const { memory } = memoryOf(2 ** 20);
    await memory.use(made.of, made.files);
    await settled(memory, made);
    const { disk, below } = layerOn(memory, made, false);
    expect(disk.preadNow(Buffer.alloc(12_288), 4_096, false)).toBe(true);
    expect(disk.isHere(4_096, 12_288)).toBe(true);
    expect(below.readRanges).toEqual([]);
    expect(disk.isHere(4_096, 12_289)).toBe(false);
    expect(disk.preadNow(Buffer.alloc(20_480), 0, false)).toBe(false);
    await readBytes(disk, 0, 20_480);
    expect(below.readRanges).toEqual([
      [0, 4_096],
      [16_384, 4_096],
    ]);
    expect(memory.stats()).toMatchObject({ images: 1, bytes: 8_192, reads: 2, wholeReads: 1 });
  });

  test("has its reads wait for a boot image that is being loaded, rather than for the image", async () => {
    const made = await makeBootImage(await temporaryDirectory(), imageOf(pagesOf(1_000)));
    const { memory } = memoryOf(2 ** 23);
    await memory.use(made.of, made.files);
    const { disk, below } = layerOn(memory, made, false);
    const [first, last] = await Promise.all([readBytes(disk, 0, 4_096), readBytes(disk, 999 * 4_096, 4_096)]);
    expect(first.equals(made.image.subarray(0, 4_096))).toBe(true);
    expect(last.equals(made.image.subarray(999 * 4_096))).toBe(true);
    expect(below.readRanges).toEqual([]);
  });

  test("leaves nothing at a connection's signal of the reads that waited", async () => {
    const made = await makeBootImage(await temporaryDirectory(), imageOf(pagesOf(1_000)));
    const { memory } = memoryOf(2 ** 23);
    await memory.use(made.of, made.files);
    const { signal } = new AbortController();
    const { disk } = layerOn(memory, made, false);
    const reading = disk.pread(Buffer.alloc(4_096), 999 * 4_096, signal);
    expect(getEventListeners(signal, "abort")).toHaveLength(1);
    await reading;
    expect(getEventListeners(signal, "abort")).toEqual([]);
  });

  test("goes below where a frame's checksum is wrong, and says so once", async () => {
    const spoil = (file: Buffer) => file.writeUInt8(file.readUInt8(file.length - 3) ^ 1, file.length - 3);
    const made = await makeBootImage(await temporaryDirectory(), imageOf(pagesOf(600)), { change: spoil });
    const { memory, bad } = memoryOf(2 ** 23);
    await memory.use(made.of, made.files);
    const { disk } = layerOn(memory, made, false);
    for (const page of [599, 0, 300]) {
      expect(
        (await readBytes(disk, page * 4_096, 4_096)).equals(made.image.subarray(page * 4_096, (page + 1) * 4_096)),
      ).toBe(true);
    }
    await settled(memory, made);
    expect(bad).toEqual([{ digest: made.files.digest, error: "a frame's checksum is wrong", isDamaged: true }]);
    expect(memory.stats()).toMatchObject({ images: 0, bytes: 0 });
  });

  test("ends a waiting read with its signal's reason, and fails as the disk below does", async () => {
    const made = await makeBootImage(await temporaryDirectory(), imageOf([1, 2, 3, 4]), { reads: [[0, 4_096]] });
    const { memory } = memoryOf(2 ** 20);
    await memory.use(made.of, made.files);
    const { disk, below } = layerOn(memory, made, false);
    below.pread = async () => {
      throw new DiskReadError("no peer has it");
    };
    await expect(disk.pread(Buffer.alloc(8_192), 0, idle)).rejects.toThrow("no peer has it");
    await readBytes(disk, 0, 4_096);
  });
});

describe("the memory of boot images", () => {
  test("refuses a boot image of another image, or of another size of it", async () => {
    const directory = await temporaryDirectory();
    const made = await makeBootImage(directory, imageOf([1, 2]));
    const other = await makeBootImage(directory, imageOf([1, 3]));
    const { memory, bad } = memoryOf(2 ** 20);
    await memory.use(other.of, made.files);
    await memory.use({ ...made.of, sizeBytes: 4_096 }, made.files);
    expect(memory.indexOf(other.of.digest)).toBeUndefined();
    expect(memory.indexOf(made.of.digest)).toBeUndefined();
    expect(bad.map(({ isDamaged }) => isDamaged)).toEqual([false, false]);
    expect(bad[0]?.error).toContain(`it is of image ${made.of.digest} with 8192 bytes, not of ${other.of.digest}`);
  });

  test("holds what two boot images have in common once", async () => {
    const directory = await temporaryDirectory();
    const count = sourceSavedBytesMin / pageBytes + 20;
    const one = await makeBootImage(directory, imageOf(pagesOf(count)));
    const two = await makeBootImage(directory, imageOf([9_000, ...pagesOf(count)]), { source: one });
    const { memory, bad } = memoryOf(2 ** 24);
    await memory.use(two.of, two.files);
    await memory.use(one.of, one.files);
    await Promise.all([settled(memory, one), settled(memory, two)]);
    expect(memory.stats()).toMatchObject({ images: 2, bytes: (count + 1) * 4_096, sharedBytes: count * 4_096 });
    for (const made of [one, two]) {
      const { disk, below } = layerOn(memory, made, false);
      expect((await readBytes(disk, 0, made.image.length)).equals(made.image)).toBe(true);
      expect(below.readRanges).toEqual([]);
    }
    expect(bad).toEqual([]);
  });

  test("serves what it has where a source is not here", async () => {
    const directory = await temporaryDirectory();
    const one = await makeBootImage(directory, imageOf(pagesOf(sourceSavedBytesMin / pageBytes)));
    const two = await makeBootImage(directory, imageOf([9_000, ...pagesOf(one.pages)]), { source: one });
    const { memory } = memoryOf(2 ** 24);
    await memory.use(two.of, { ...two.files, sources: [] });
    const { disk, below } = layerOn(memory, two);
    expect((await readBytes(disk, 0, 8_192)).equals(two.image.subarray(0, 8_192))).toBe(true);
    expect(below.readRanges).toEqual([[4_096, 4_096]]);
  });

  test("drops the boot image that was read longest ago for one that needs the room", async () => {
    const directory = await temporaryDirectory();
    const made = await Promise.all(
      [0, 1, 2].map((index) => makeBootImage(directory, imageOf(pagesOf(10, 1 + index * 10)))),
    );
    const [one, two, three] = made as [Made, Made, Made];
    const { memory, bad } = memoryOf(25 * 4_096);
    for (const each of [one, two]) {
      await memory.use(each.of, each.files);
      await settled(memory, each);
    }
    await readBytes(layerOn(memory, one).disk, 0, 4_096);
    await memory.use(three.of, three.files);
    await settled(memory, three);
    const reads = async (each: Made) => {
      const { disk, below } = layerOn(memory, each);
      expect((await readBytes(disk, 0, 40_960)).equals(each.image)).toBe(true);
      return below.readRanges.length;
    };
    expect([await reads(one), (await reads(two)) > 0, await reads(three)]).toEqual([0, true, 0]);
    expect(memory.stats()).toMatchObject({ images: 2, bytes: 20 * 4_096 });
    await memory.use(two.of, two.files);
    await settled(memory, two);
    expect(await reads(two)).toBe(0);
    expect(bad).toEqual([]);
  });

  test("that is too small for a boot image says how much it would take", async () => {
    const made = await makeBootImage(await temporaryDirectory(), imageOf(pagesOf(10)));
    const { memory, bad } = memoryOf(30_000);
    await memory.use(made.of, made.files);
    const error = "it takes 40960 bytes of memory, and boot.memoryBytes allows 30000 for all; allow more";
    expect(bad).toEqual([{ digest: made.files.digest, error, isDamaged: false }]);
    expect(memory.indexOf(made.of.digest)).toBeUndefined();
  });

  test("gives memory free when a boot image is taken away", async () => {
    const made = await makeBootImage(await temporaryDirectory(), imageOf(pagesOf(10)));
    const { memory } = memoryOf(2 ** 20);
    await memory.use(made.of, made.files);
    memory.drop(made.of.digest);
    expect(memory.stats()).toMatchObject({ images: 0, bytes: 0 });
    const { disk, below } = layerOn(memory, made);
    await readBytes(disk, 0, 4_096);
    expect(below.readRanges).toEqual([[0, 4_096]]);
  });
});

describe("a disk that is recorded", () => {
  test("notes each read once, in order, whether it was answered at once or later", async () => {
    let nowMs = 1_000;
    const [here, away] = [true, false].map((isHere) => new LogDisk(diskOf(imageOf(pagesOf(40)), isHere), () => nowMs));
    for (const disk of [here, away] as [LogDisk, LogDisk]) {
      await readBytes(disk, 0, 512);
      expect(disk.progress()).toBeUndefined();
      disk.record();
      await readBytes(disk, 70_000, 4_096);
      nowMs += 10;
      await readBytes(disk, 0, 512);
      nowMs += 500;
      await readBytes(disk, 100, 512);
      expect(disk.progress()).toEqual({ reads: 3, blockBytes: 2 * 65_536, quietMs: 500 });
      expect([...disk.stop()]).toEqual([70_000, 4_096, 0, 512, 100, 512]);
      expect(disk.progress()).toBeUndefined();
    }
  });
});
