/** A boot image that is as it was published, and that this node cannot read. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { BootImages, type BootImagesOptions } from "../../../agent/boot/boot-images.ts";
import { bootImageMagic } from "../../../boot/boot-image.ts";
import { createLog } from "../../../daemon/log.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";

const image = { digest: "a".repeat(64), sizeBytes: 1_000_000 };

test("one of a later version is fetched again once, and not without end", async () => {
  const data = join(await temporaryDirectory(), "data");
  const later = Buffer.alloc(4_096);
  bootImageMagic.copy(later);
  later.writeUInt32LE(2, bootImageMagic.length);
  await writeFile(data, later);
  let nowMs = 0;
  let repairs = 0;
  const images = new BootImages({
    prefetch: "off",
    isUsed: true,
    cache: {
      get: () => undefined,
      findByName: () => ({
        record: { digest: "b".repeat(64), bootOf: image.digest },
        paths: { data },
        complete: true,
      }),
    },
    inUse: { hold: () => () => {} },
    repair: async () => {
      repairs += 1;
    },
    clock: { now: () => nowMs },
    log: createLog({ level: "silent", name: "test" }),
  } as unknown as BootImagesOptions);
  const unuse = images.use(image.digest);
  await expect.poll(() => images.badCount).toBeGreaterThan(1);
  expect(repairs).toBe(1);
  unuse();
  nowMs = 3_600_000;
  await images.bad({ digest: "b".repeat(64), error: "a frame's checksum is wrong", isDamaged: true });
  expect(repairs).toBe(2);
});
