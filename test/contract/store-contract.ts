import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Image } from "../../seeder/catalog/image.ts";
import { retiredKeptMs } from "../../seeder/store/limits.ts";
import type { Store } from "../../seeder/store/store.ts";

import { launchContract } from "./launch-contract.ts";
import { prefetchContract } from "./prefetch-contract.ts";
import { replicaContract } from "./replica-contract.ts";

/** A place for a store that outlives it: opening it again finds what was there. */
export interface StorePlace {
  open(): Promise<Store>;
  remove(): Promise<void>;
}

const nowMs = 1_790_000_000_123;
const digestOf = (letter: string) => letter.repeat(64);

/** An image of that digest. */
export const imageOf = (letter: string, ...names: string[]): Image => ({
  digest: digestOf(letter),
  names,
  sizeBytes: 5_000_000_000,
  format: "qcow2",
  virtualSizeBytes: 2 ** 40,
  torrent: { infohash: "1".repeat(40), pieceLengthBytes: 2_097_152 },
  createdAtMs: 1_790_000_000_123,
});

/** What every engine of the seeder's store must do. */
export function storeContract(engine: string, makePlace: () => Promise<StorePlace>): void {
  describe(`a ${engine} store`, () => {
    let place: StorePlace;
    let store: Store;

    beforeEach(async () => {
      place = await makePlace();
      store = await place.open();
    });
    afterEach(async () => {
      await store.close();
      await place.remove();
    });
    const reopen = async () => {
      await store.close();
      store = await place.open();
    };

    replicaContract(() => store);
    prefetchContract(() => store, reopen);
    launchContract(() => store, reopen);

    describe("as a catalog", () => {
      test("gives back an image as it was added, by digest and by every name, also after a restart", async () => {
        const image = imageOf("a", "debian", "debian-12");
        await store.addImage(image);
        await reopen();
        expect(await store.imageByDigest(image.digest)).toEqual(image);
        expect(await store.imageByName("debian")).toEqual(image);
        expect(await store.imageByName("debian-12")).toEqual(image);
        expect(await store.listImages()).toEqual([image]);
      });

      test("keeps which image a boot image is of, and which boot images have blocks of it", async () => {
        const boot = { of: digestOf("a"), sources: [] as string[] };
        await store.addImage(imageOf("a", "debian"));
        const one: Image = { ...imageOf("b", `${digestOf("a")}.boot`), format: "boot", virtualSizeBytes: 0, boot };
        const two: Image = {
          ...imageOf("c", `${digestOf("d")}.boot`),
          format: "boot",
          virtualSizeBytes: 0,
          boot: { of: digestOf("d"), sources: [digestOf("b"), digestOf("e")] },
        };
        await store.addImage(one);
        await store.addImage(two);
        await reopen();
        expect(await store.imageByDigest(one.digest)).toEqual(one);
        expect(await store.imageByDigest(two.digest)).toEqual(two);
        expect((await store.imageByDigest(digestOf("a")))?.boot).toBeUndefined();
      });

      test("knows nothing of what is not there", async () => {
        expect(await store.imageByDigest(digestOf("a"))).toBeUndefined();
        expect(await store.imageByName("a")).toBeUndefined();
        expect(await store.listImages()).toEqual([]);
      });

      test("lists images by first name, and an image's names oldest first", async () => {
        await store.addImage(imageOf("a", "zulu"));
        await store.addImage(imageOf("b", "mike"));
        await store.addName(digestOf("b"), "alpha");
        expect((await store.listImages()).map(({ names }) => names)).toEqual([["mike", "alpha"], ["zulu"]]);
      });

      test("gives a new name the last place even after others have gone", async () => {
        await store.addImage(imageOf("a", "one", "two"));
        await store.removeName("one");
        await store.addName(digestOf("a"), "one");
        expect((await store.imageByDigest(digestOf("a")))?.names).toEqual(["two", "one"]);
      });

      test("refuses a digest or name that is taken, and then has added nothing", async () => {
        await store.addImage(imageOf("a", "one"));
        await expect(store.addImage(imageOf("a", "two"))).rejects.toThrow();
        await expect(store.addImage(imageOf("b", "three", "one"))).rejects.toThrow();
        await expect(store.addName(digestOf("a"), "one")).rejects.toThrow();
        expect(await store.listImages()).toEqual([imageOf("a", "one")]);
        expect(await store.imageByName("three")).toBeUndefined();
      });

      test("refuses a name for an image that is not there", async () => {
        await expect(store.addName(digestOf("a"), "one")).rejects.toThrow();
      });

      test("sets an image's torrent and takes it away", async () => {
        const image = { ...imageOf("a", "one"), torrent: undefined };
        await store.addImage(image);
        expect(await store.imageByDigest(image.digest)).toEqual(image);
        const torrent = { infohash: "2".repeat(40), pieceLengthBytes: 262_144 };
        await store.setTorrent(image.digest, torrent);
        expect(await store.imageByDigest(image.digest)).toEqual({ ...image, torrent });
        await store.setTorrent(image.digest, undefined);
        expect(await store.imageByDigest(image.digest)).toEqual(image);
      });

      test("removes an image with all its names, which are free again", async () => {
        await store.addImage(imageOf("a", "one", "two"));
        await store.removeImage(digestOf("a"), nowMs);
        await store.removeImage(digestOf("a"), nowMs);
        expect(await store.imageByName("two")).toBeUndefined();
        await store.addImage(imageOf("b", "one", "two"));
        expect((await store.imageByName("one"))?.digest).toBe(digestOf("b"));
      });

      test("remembers what was removed until it is added again, and does not take for it what was never there", async () => {
        const all = ["a", "b", "c"].map(digestOf);
        for (const letter of ["a", "b"]) await store.addImage(imageOf(letter, letter));
        for (const digest of all) await store.removeImage(digest, nowMs);
        expect(await store.removedAmong(all)).toEqual(new Set([digestOf("a"), digestOf("b")]));
        await store.addImage(imageOf("a", "a"));
        expect(await store.removedAmong(all)).toEqual(new Set([digestOf("b")]));
        expect(await store.removedAmong([])).toEqual(new Set());
      });

      test("forgets what was removed once nobody can have been away for as long", async () => {
        for (const letter of ["a", "b", "c"]) await store.addImage(imageOf(letter, letter));
        await store.removeImage(digestOf("a"), nowMs);
        await store.removeImage(digestOf("b"), nowMs + retiredKeptMs);
        expect(await store.removedAmong(["a", "b"].map(digestOf))).toEqual(new Set(["a", "b"].map(digestOf)));
        await store.removeImage(digestOf("c"), nowMs + retiredKeptMs + 1);
        expect(await store.removedAmong(["a", "b", "c"].map(digestOf))).toEqual(new Set(["b", "c"].map(digestOf)));
      });
    });
  });
}
