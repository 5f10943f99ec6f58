/** A catalog's boot profile that does not fit the image. */
import { expect, test } from "vitest";
import { BootImages, type BootImagesOptions } from "../../../agent/boot/boot-images.ts";
import { encodeProfile, profileOfReads } from "../../../boot/profile.ts";
import { createLog } from "../../../daemon/log.ts";
import { Problem } from "../../../daemon/problem.ts";

const image = { digest: "a".repeat(64), sizeBytes: 1_000_000 };

/** What orders the pieces of an image that a disk is attached of, and is not here. */
async function orderedBy(profileOf: { digest: string; sizeBytes: number }) {
  const ordered: string[] = [];
  const asked = Promise.withResolvers<void>();
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const images = new BootImages({
    prefetch: "off",
    isUsed: true,
    cache: { get: () => ({ record: image, complete: false }), findByName: () => undefined },
    catalog: {
      bootProfile: async () => {
        asked.resolve();
        return encodeProfile(profileOfReads(profileOf, [[100_000, 4_096]]));
      },
    },
    images: {
      // What follows the order, whether or not there was one.
      ensure: async () => {
        end();
        throw new Problem("not-found", "there is no boot image");
      },
    },
    orderPieces: async (digest: string) => {
      ordered.push(digest);
    },
    log: createLog({ level: "silent", name: "test" }),
  } as unknown as BootImagesOptions);
  const unuse = images.use(image.digest);
  await asked.promise;
  await ended;
  unuse();
  return ordered;
}

test("one of the image orders its pieces", async () => {
  expect(await orderedBy(image)).toEqual([image.digest]);
});

test.each([
  { ...image, digest: "b".repeat(64) },
  { ...image, sizeBytes: 999_999 },
])(
  "one of another image, or of another size, orders nothing, and the boot image is looked for all the same",
  async (other) => {
    expect(await orderedBy(other)).toEqual([]);
  },
);
