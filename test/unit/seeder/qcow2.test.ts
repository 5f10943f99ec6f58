import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Problem } from "../../../daemon/problem.ts";
import { imageFormatOf } from "../../../seeder/catalog/image-format.ts";
import { checkQcow2Length, headBytes, qcow2HeaderFrom } from "../../../seeder/catalog/qcow2.ts";
import { emptyQcow2, qcow2Header } from "./qcow2-header.ts";

const gib = 1024 ** 3;

describe("a qcow2 header", () => {
  test.each([2, 3] as const)("of version %i gives the size that a guest sees", (version) => {
    expect(qcow2HeaderFrom(qcow2Header({ version, virtualSizeBytes: 40 * gib }))).toEqual({
      version,
      virtualSizeBytes: 40 * gib,
      clusterBytes: 65_536,
      fileBytesMin: 3 * 65_536 + 80 * 8,
    });
  });

  test("is not what other bytes are, so they are a raw disk of their own size", () => {
    expect(imageFormatOf(Buffer.from("\xebcs"), 3)).toEqual({ format: "raw", virtualSizeBytes: 3 });
    expect(imageFormatOf(new Uint8Array(0), 0)).toEqual({ format: "raw", virtualSizeBytes: 0 });
  });

  test.each([
    ["a backing file", { backingFileOffset: 0x200n }, /backing file/],
    ["an external data file", { version: 3, incompatible: 4n }, /another file/],
    ["an unknown feature", { version: 3, incompatible: 1n << 40n }, /features that are not known/],
    ["another version", { rawVersion: 1 }, /version 1/],
    ["clusters of an impossible size", { clusterBits: 40 }, /damaged/],
    ["a disk larger than numbers go", { virtualSize: 2n ** 63n }, /damaged/],
    ["an L1 table larger than QEMU's limit", { l1Size: 0x7fffffff }, /damaged/],
    ["an L1 table too small for the disk", { l1Size: 1 }, /L1 table of 1 entries for a disk of 1073741824 bytes/],
    ["an L1 table where the header is", { l1Offset: 0n }, /its L1 table at byte 0/],
    ["an L1 table within a cluster", { l1Offset: 65_540n }, /its L1 table at byte 65540/],
    ["an L1 table beyond any file", { l1Offset: 2n ** 63n }, /its L1 table at byte 9223372036854775808/],
    ["no refcount table", { refcountTableClusters: 0 }, /refcount table of 0 clusters/],
    ["a refcount table larger than QEMU's limit", { refcountTableClusters: 0xffff_ffff }, /refcount table of/],
    ["a refcount table beyond any file", { refcountTableOffset: 2n ** 52n }, /its refcount table at byte/],
    ["a disk of no size", { virtualSizeBytes: 0 }, /a disk of 0 bytes, which nothing boots from/],
    ["a version 3 header that is too short", { version: 3, headerLength: 72 }, /damaged/],
  ] as const)("with %s is refused", (_what, fields, message) => {
    expect(() => qcow2HeaderFrom(qcow2Header(fields))).toThrow(message);
  });

  test("that is cut anywhere is refused or is no qcow2, and nothing beyond it is read", () => {
    const header = qcow2Header({ version: 3 });
    for (let length = 0; length < 104; length++) {
      // A view into a larger buffer: a read out of bounds would find plausible bytes there.
      const cut = header.subarray(0, length);
      if (length < 4) expect(qcow2HeaderFrom(cut)).toBeUndefined();
      else expect(() => qcow2HeaderFrom(cut)).toThrow(/damaged/);
    }
  });

  test("with extended L2 entries needs twice the L1 table", () => {
    const fields = { version: 3, incompatible: 1n << 4n, virtualSizeBytes: gib } as const;
    expect(() => qcow2HeaderFrom(qcow2Header({ ...fields, l1Size: 2 }))).toThrow(/L1 table of 2 entries/);
    expect(qcow2HeaderFrom(qcow2Header({ ...fields, l1Size: 4 }))?.virtualSizeBytes).toBe(gib);
  });

  test("of arbitrary bytes throws nothing but a Problem, and gives sane numbers", () => {
    const anyHeader = fc
      .tuple(fc.uint8Array({ minLength: headBytes, maxLength: headBytes }), fc.nat(headBytes), fc.constantFrom(2, 3, 0))
      .map(([bytes, length, version]) => {
        bytes.set([0x51, 0x46, 0x49, 0xfb, 0, 0, 0], 0);
        if (version > 0) bytes[7] = version;
        return bytes.subarray(0, length);
      });
    fc.assert(
      fc.property(anyHeader, (bytes) => {
        try {
          const header = qcow2HeaderFrom(bytes);
          if (!header) return;
          expect(Number.isSafeInteger(header.virtualSizeBytes)).toBe(true);
          expect(header.clusterBytes).toBeLessThanOrEqual(2 * 1024 * 1024);
          expect(header.virtualSizeBytes).toBeGreaterThan(0);
          expect(Number.isSafeInteger(header.fileBytesMin)).toBe(true);
          expect(() => checkQcow2Length(header, header.fileBytesMin)).not.toThrow();
          expect(() => checkQcow2Length(header, header.fileBytesMin - 1)).toThrow(Problem);
        } catch (error) {
          expect(error).toBeInstanceOf(Problem);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("a qcow2", () => {
  test("that is whole is taken, and one cut before its tables end is not, wherever it is cut", () => {
    const size = fc.integer({ min: 1, max: 4 * 1024 * gib });
    fc.assert(
      fc.property(size, fc.double({ min: 0, max: 1, noNaN: true }), (virtualSizeBytes, share) => {
        const image = emptyQcow2(virtualSizeBytes);
        expect(imageFormatOf(image.subarray(0, headBytes), image.length)).toEqual({
          format: "qcow2",
          virtualSizeBytes,
        });
        const length = headBytes + Math.floor(share * (image.length - headBytes - 1));
        expect(() => imageFormatOf(image.subarray(0, headBytes), length)).toThrow(/cut off: it has \d+ bytes/);
      }),
    );
  });

  test("whose refcount table comes last is cut off if that begins beyond the end", () => {
    const head = qcow2Header({ refcountTableOffset: 10n << 16n, refcountTableClusters: 2 });
    expect(() => imageFormatOf(head, 11 * 65_536)).toThrow(/points to tables up to byte 720904/);
    expect(imageFormatOf(head, 12 * 65_536).format).toBe("qcow2");
  });
});
