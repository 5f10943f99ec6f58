import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, open, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Hasher } from "../../../seeder/catalog/hasher.ts";
import { takeIn } from "../../../seeder/catalog/intake.ts";
import { torrentFromFile, torrentFromHashes } from "../../../seeder/catalog/torrent.ts";
import { pieceLengthFor } from "../../../swarm/metainfo.ts";

let directory: string;
const hasher = new Hasher();
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "bootswarm-intake-"));
});
afterAll(async () => {
  await hasher.close();
  await rm(directory, { recursive: true });
});

async function* inChunks(bytes: Uint8Array, chunkBytes: number): AsyncIterable<Uint8Array> {
  for (let start = 0; start < bytes.length; start += chunkBytes) yield bytes.subarray(start, start + chunkBytes);
}

/** Takes bytes in and gives back what is on disk. */
async function taken(source: AsyncIterable<Uint8Array>, pieceLengthBytes: number, sizeBytes?: number) {
  const path = join(directory, "data");
  const file = await open(path, "w");
  try {
    const intake = await takeIn(source, file, hasher.start(pieceLengthBytes), {
      sizeBytes,
      checkHead: () => {},
      signal: new AbortController().signal,
    });
    return { ...intake, path, onDisk: await readFile(path) };
  } finally {
    await file.close();
  }
}

function pieceHashesOf(bytes: Uint8Array, pieceLengthBytes: number): string {
  let hashes = "";
  for (let start = 0; start < bytes.length; start += pieceLengthBytes) {
    const piece = bytes.subarray(start, start + pieceLengthBytes);
    hashes += createHash("sha1").update(piece).digest("hex");
  }
  return hashes;
}

describe("an intake", () => {
  test("writes and hashes the same bytes, however they are cut", async () => {
    const mib = 1024 * 1024;
    const size = fc.oneof(fc.constantFrom(1, mib - 1, mib, mib + 1, 6 * mib), fc.integer({ min: 1, max: 3 * mib }));
    const chunk = fc.constantFrom(1_000, 65_536, mib, 5 * mib);
    await fc.assert(
      fc.asyncProperty(size, chunk, fc.constantFrom(16_384, 262_144, 4 * mib), async (sizeBytes, chunkBytes, piece) => {
        const bytes = randomBytes(sizeBytes);
        const result = await taken(inChunks(bytes, chunkBytes), piece, sizeBytes);
        expect(result.onDisk.equals(bytes)).toBe(true);
        expect(result.sizeBytes).toBe(sizeBytes);
        expect(result.hashes.sha256).toBe(createHash("sha256").update(bytes).digest("hex"));
        expect(Buffer.from(result.hashes.pieceHashes).toString("hex")).toBe(pieceHashesOf(bytes, piece));
        expect(Buffer.from(result.head).equals(bytes.subarray(0, 112))).toBe(true);
      }),
      { numRuns: 25 },
    );
  });

  test("makes the same torrent as create-torrent makes of the file", async () => {
    const bytes = randomBytes(3 * 1024 * 1024 + 17);
    const pieceLengthBytes = pieceLengthFor(bytes.length);
    const { hashes, path } = await taken(inChunks(bytes, 65_536), pieceLengthBytes);
    const digest = hashes.sha256;
    const inPassing = torrentFromHashes({
      digest,
      sizeBytes: bytes.length,
      pieceLengthBytes,
      pieceHashes: hashes.pieceHashes,
    });
    expect(inPassing).toEqual(await torrentFromFile(digest, path, bytes.length));
  });

  test("of more or fewer bytes than announced fails", async () => {
    const bytes = randomBytes(1_000);
    await expect(taken(inChunks(bytes, 100), 0, 999)).rejects.toThrow(/999 bytes were announced, but more came/);
    await expect(taken(inChunks(bytes, 100), 0, 1_001)).rejects.toThrow(/only 1000 came/);
  });

  test("whose stream fails, fails as the stream did", async () => {
    async function* cut() {
      yield randomBytes(2 * 1024 * 1024);
      throw new Error("cut");
    }
    await expect(taken(cut(), 16_384)).rejects.toThrow("cut");
  });

  test("whose disk is full says so", async () => {
    const full = await open("/dev/full", "w");
    const intake = takeIn(inChunks(randomBytes(10_000), 1_000), full, hasher.start(0), {
      checkHead: () => {},
      signal: new AbortController().signal,
    });
    await expect(intake).rejects.toThrow(/disk is full; retire images/);
    await full.close();
  });

  test("of many images at once keeps their hashes apart", async () => {
    const images = Array.from({ length: 4 }, () => randomBytes(2_500_000));
    const results = await Promise.all(
      images.map(async (bytes, index) => {
        const file = await open(join(directory, `data-${index}`), "w");
        const options = { checkHead: () => {}, signal: new AbortController().signal };
        const { hashes } = await takeIn(inChunks(bytes, 10_000), file, hasher.start(65_536), options);
        await file.close();
        return hashes.sha256;
      }),
    );
    expect(results).toEqual(images.map((bytes) => createHash("sha256").update(bytes).digest("hex")));
  });
});
