import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Problem } from "../../../daemon/problem.ts";
import { imageFormatOf } from "../../../seeder/catalog/image-format.ts";
import { headBytes, qcow2HeaderFrom } from "../../../seeder/catalog/qcow2.ts";
import { qcow2Header } from "./qcow2-header.ts";

const gib = 1024 ** 3;

describe("a qcow2 header", () => {
  test.each([2, 3] as const)("of version %i gives the size that a guest sees", (version) => {
    expect(qcow2HeaderFrom(qcow2Header({ version, virtualSizeBytes: 40 * gib }))).toEqual({
      version,
      virtualSizeBytes: 40 * gib,
      clusterBytes: 65_536,
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
        } catch (error) {
          expect(error).toBeInstanceOf(Problem);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
