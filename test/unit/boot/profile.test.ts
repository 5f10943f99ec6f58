import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { piecesOf } from "../../../agent/boot/piece-order.ts";
import { BootFormatError } from "../../../boot/byte-reader.ts";
import { coveredBytesMax } from "../../../boot/limits.ts";
import { coveredBytes, decodeProfile, encodeProfile, profileOfReads } from "../../../boot/profile.ts";

const digest = "ab".repeat(32);
const KiB = 1024;

/** Images of odd sizes, and reads that lie in them or hang over their end. */
const boots = fc
  .tuple(fc.integer({ min: 1, max: 3_000_000 }), fc.constantFrom(4 * KiB, 64 * KiB, 1024 * KiB))
  .chain(([sizeBytes, blockBytes]) =>
    fc.record({
      sizeBytes: fc.constant(sizeBytes),
      blockBytes: fc.constant(blockBytes),
      reads: fc.array(fc.tuple(fc.nat(sizeBytes - 1), fc.integer({ min: 1, max: 300_000 })), { maxLength: 60 }),
    }),
  );

describe("a boot profile", () => {
  test("has blocks in the order of their first touch, neighbours in one extent", () => {
    const reads: [number, number][] = [
      [200 * KiB, 1],
      [0, 512],
      [60 * KiB, 8 * KiB],
      [1, 300 * KiB],
    ];
    expect(profileOfReads({ digest, sizeBytes: 1_000_000 }, reads).extents).toEqual([
      { offset: 192 * KiB, length: 64 * KiB },
      { offset: 0, length: 192 * KiB },
      { offset: 256 * KiB, length: 64 * KiB },
    ]);
  });

  test("covers every byte read within the image, each block once, in order of first touch", () => {
    fc.assert(
      fc.property(boots, ({ sizeBytes, blockBytes, reads }) => {
        const profile = profileOfReads({ digest, sizeBytes }, reads, blockBytes);
        const order = profile.extents.flatMap(({ offset, length }) => {
          expect(offset % blockBytes).toBe(0);
          expect(offset + length === sizeBytes || (offset + length) % blockBytes === 0).toBe(true);
          return Array.from({ length: Math.ceil(length / blockBytes) }, (_, index) => offset / blockBytes + index);
        });
        const wanted = new Set<number>();
        for (const [offset, length] of reads) {
          const end = Math.min(sizeBytes, offset + length);
          for (let at = offset; at < end; at = (Math.floor(at / blockBytes) + 1) * blockBytes) {
            wanted.add(Math.floor(at / blockBytes));
          }
        }
        expect(order).toEqual([...wanted]);
      }),
    );
  });

  test("is the same after it was written and read", () => {
    fc.assert(
      fc.property(boots, ({ sizeBytes, blockBytes, reads }) => {
        const profile = profileOfReads({ digest, sizeBytes }, reads, blockBytes);
        expect(decodeProfile(encodeProfile(profile))).toEqual(profile);
      }),
    );
  });

  test("ends where it covers as much as a profile may", () => {
    const sizeBytes = coveredBytesMax * 4;
    const profile = profileOfReads({ digest, sizeBytes }, [[0, sizeBytes]], 1024 * KiB);
    expect(coveredBytes(profile)).toBe(coveredBytesMax);
    expect(decodeProfile(encodeProfile(profile))).toEqual(profile);
  });

  test("with any byte changed, or cut anywhere, is refused", () => {
    const bytes = encodeProfile(
      profileOfReads({ digest, sizeBytes: 900_000 }, [
        [0, 1],
        [700_000, 1],
        [100_000, 90_000],
      ]),
    );
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const changed = Buffer.from(bytes);
        changed[at] = (changed[at] as number) ^ flip;
        expect(() => decodeProfile(changed)).toThrow(BootFormatError);
        expect(() => decodeProfile(bytes.subarray(0, at))).toThrow(BootFormatError);
      }),
    );
  });

  test("is refused where it does not fit its own image, though its checksum is right", () => {
    const good = { imageDigest: digest, imageBytes: 100_000, blockBytes: 64 * KiB, extents: [] };
    const encoded = (changes: object) => encodeProfile({ ...good, ...changes });
    const outside = [{ offset: 128 * KiB, length: 64 * KiB }];
    const twice = [0, 0].map((offset) => ({ offset, length: 64 * KiB }));
    expect(() => decodeProfile(encoded({ extents: outside }))).toThrow("an extent lies outside its image");
    expect(() => decodeProfile(encoded({ extents: twice }))).toThrow("it has a block twice");
    expect(() => decodeProfile(encoded({ blockBytes: 5_000 }))).toThrow("5000 bytes can be no block size");
    expect(() => decodeProfile(encoded({ imageBytes: 0 }))).toThrow("no image has 0 bytes");
    const sealed = (body: Uint8Array) => Buffer.concat([body, createHash("sha256").update(body).digest()]);
    const body = encoded({}).subarray(0, -32);
    expect(() => decodeProfile(sealed(Buffer.concat([body, Buffer.of(0)])))).toThrow("something follows its end");
    expect(() => decodeProfile(sealed(Buffer.from("no boot profile at all")))).toThrow("it is no boot profile");
  });

  test("of a real boot's size takes some KB", () => {
    const reads = Array.from({ length: 3_000 }, (_, index): [number, number] => [
      ((index * 7_919) % 20_000) * 65_536,
      4_096,
    ]);
    expect(encodeProfile(profileOfReads({ digest, sizeBytes: 2 ** 31 }, reads)).length).toBeLessThan(16 * KiB);
  });
});

describe("the pieces of a boot", () => {
  test("come in the order of its reads, each once", () => {
    const extents = [
      { offset: 100, length: 1 },
      { offset: 40, length: 20 },
      { offset: 0, length: 10 },
      { offset: 95, length: 10 },
    ];
    expect(piecesOf(extents, 10)).toEqual([10, 4, 5, 0, 9]);
  });
});
