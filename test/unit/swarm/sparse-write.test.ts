import { open, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { writeSparsely } from "../../../swarm/sparse-write.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";

const KiB = 1024;

async function emptyFile() {
  const path = join(await temporaryDirectory(), "data");
  return { path, file: await open(path, "w+"), allocated: async () => (await stat(path)).blocks * 512 };
}

describe("writing an image's bytes", () => {
  test("leaves a hole where they are zeros", async () => {
    const { path, file, allocated } = await emptyFile();
    const bytes = Buffer.alloc(1024 * KiB);
    bytes.fill(7, 256 * KiB, 320 * KiB);
    await file.truncate(bytes.length);
    expect(await writeSparsely(file, bytes, 0)).toBe(320 * KiB);
    await file.close();
    expect((await readFile(path)).equals(bytes)).toBe(true);
    expect(await allocated()).toBe(64 * KiB);
  });

  test("overwrites with zeros what was there", async () => {
    const { path, file } = await emptyFile();
    await file.write(Buffer.alloc(256 * KiB, 1), 0, 256 * KiB, 0);
    await writeSparsely(file, Buffer.alloc(256 * KiB), 0);
    await file.close();
    expect((await readFile(path)).equals(Buffer.alloc(256 * KiB))).toBe(true);
  });

  test("at any place, in any length, over anything, makes the file what it says", async () => {
    const bytesOf = fc
      .array(fc.tuple(fc.integer({ min: 1, max: 100_000 }), fc.integer({ min: 0, max: 1 })), { maxLength: 6 })
      .map((runs) => Buffer.concat(runs.map(([length, fill]) => Buffer.alloc(length, fill))));
    await fc.assert(
      fc.asyncProperty(bytesOf, bytesOf, fc.integer({ min: 0, max: 200_000 }), async (before, bytes, position) => {
        const { path, file } = await emptyFile();
        await file.write(before, 0, before.length, 0);
        const size = Math.max(before.length, position + bytes.length);
        await file.truncate(size);
        await writeSparsely(file, bytes, position);
        await file.close();
        const expected = Buffer.alloc(size);
        before.copy(expected);
        bytes.copy(expected, position);
        return (await readFile(path)).equals(expected);
      }),
      { numRuns: 50 },
    );
  });
});
