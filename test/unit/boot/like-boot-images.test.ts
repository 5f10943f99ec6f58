/** Boot images on this node's disk that one to be made may refer to. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { likeBootImages } from "../../../agent/boot/like-boot-images.ts";
import type { CacheEntry } from "../../../agent/cache/image-cache.ts";
import { pageBytes } from "../../../boot/limits.ts";
import { profileOfReads } from "../../../boot/profile.ts";
import { createLog } from "../../../daemon/log.ts";
import { imageOf, packed } from "../../fixtures/boot-images.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";

const log = createLog({ level: "silent", name: "test" });
const pages = Array.from({ length: 400 }, (_, index) => index + 1);

test("those that are damaged are passed over, and the others referred to", async () => {
  const directory = await temporaryDirectory();
  const image = imageOf(pages);
  const of = { digest: "a".repeat(64), sizeBytes: image.length };
  const { file, head } = await packed({ image, profile: profileOfReads(of, [[0, image.length]], pageBytes) });
  const entryOf = async (digest: string, spoil = (_: Buffer) => {}) => {
    const bytes = Buffer.from(file);
    spoil(bytes);
    const data = join(directory, digest);
    await writeFile(data, bytes);
    return { record: { digest }, paths: { data } } as CacheEntry;
  };
  const candidates = [
    await entryOf("its-frame", (bytes) => bytes.writeUInt8(bytes.readUInt8(bytes.length - 3) ^ 1, bytes.length - 3)),
    await entryOf("its-head", (bytes) => bytes.writeUInt8(bytes.readUInt8(100) ^ 1, 100)),
    await entryOf("sound"),
  ];
  const found = await likeBootImages(head.sketch, candidates, log);
  expect(found.map(({ digest, contentPages, pageHashes }) => [digest, contentPages, pageHashes.length])).toEqual([
    ["sound", pages.length, pages.length],
  ]);
});
