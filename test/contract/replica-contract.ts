import { describe, expect, test } from "vitest";
import type { Image } from "../../seeder/catalog/image.ts";
import type { ReplicaRecord } from "../../seeder/store/replica-store.ts";
import type { Store } from "../../seeder/store/store.ts";

const digestOf = (letter: string) => letter.repeat(64);

const imageOf = (letter: string): Image => ({
  digest: digestOf(letter),
  names: [`image-${letter}`],
  sizeBytes: 1_000,
  format: "raw",
  virtualSizeBytes: 1_000,
  torrent: undefined,
  createdAtMs: 1,
});

const replicaOf = (id: string, beat = 1): ReplicaRecord => ({
  id,
  url: `http://${id}:7400`,
  host: id,
  peerPort: 7401,
  dhtPort: 7402,
  version: "0.1.0",
  freeBytes: Number.MAX_SAFE_INTEGER,
  fetches: [{ digest: digestOf("a"), sizeBytes: 2 ** 40, doneBytes: 5, trouble: "no peers" }],
  beat,
  seenAtMs: 1_790_000_000_123,
});

/** What every engine of the store must do for seeders that share it. */
export function replicaContract(storeOf: () => Store): void {
  describe("for seeders that share it", () => {
    test("keeps what each says of itself last", async () => {
      const { replicas } = storeOf();
      await replicas.saveReplica(replicaOf("b"));
      await replicas.saveReplica(replicaOf("a"));
      await replicas.saveReplica({ ...replicaOf("b", 2), url: "", fetches: [] });
      expect(await replicas.listReplicas()).toEqual([replicaOf("a"), { ...replicaOf("b", 2), url: "", fetches: [] }]);
      await replicas.removeReplica("a");
      expect((await replicas.listReplicas()).map(({ id }) => id)).toEqual(["b"]);
    });

    test("keeps who holds what, until the image or the seeder goes", async () => {
      const store = storeOf();
      const { replicas } = store;
      for (const letter of ["a", "b"]) await store.addImage(imageOf(letter));
      for (const id of ["one", "two"]) await replicas.saveReplica(replicaOf(id));
      await replicas.setCopies("one", [digestOf("a"), digestOf("b"), digestOf("c")]);
      expect(await replicas.addCopy("two", digestOf("a"))).toBe(true);
      expect(await replicas.addCopy("two", digestOf("a"))).toBe(true);
      const copies = await replicas.listCopies();
      expect(copies.get(digestOf("a"))?.toSorted()).toEqual(["one", "two"]);
      expect(copies.get(digestOf("b"))).toEqual(["one"]);
      expect(copies.has(digestOf("c"))).toBe(false);
      await replicas.setCopies("one", [digestOf("a")]);
      await replicas.removeCopy("two", digestOf("a"));
      expect(await replicas.listCopies()).toEqual(new Map([[digestOf("a"), ["one"]]]));
      await store.removeImage(digestOf("a"), 1);
      expect(await replicas.listCopies()).toEqual(new Map());
      expect(await replicas.addCopy("one", digestOf("a"))).toBe(false);
      await replicas.addCopy("one", digestOf("b"));
      await replicas.removeReplica("one");
      expect(await replicas.listCopies()).toEqual(new Map());
    });

    test("counts every change of the catalog and of who holds what, and nothing else", async () => {
      const store = storeOf();
      const { replicas } = store;
      const grown = async (change: () => Promise<unknown>) => {
        const before = await replicas.versions();
        await change();
        const after = await replicas.versions();
        return { catalog: after.catalog > before.catalog, copies: after.copies > before.copies };
      };
      const [catalog, copies] = [
        { catalog: true, copies: false },
        { catalog: false, copies: true },
      ];
      expect(await grown(() => replicas.saveReplica(replicaOf("one")))).toEqual({ catalog: false, copies: false });
      expect(await grown(() => store.addImage(imageOf("a")))).toEqual(catalog);
      expect(await grown(() => store.addName(digestOf("a"), "other"))).toEqual(catalog);
      expect(await grown(() => store.removeName("other"))).toEqual(catalog);
      expect(await grown(() => store.setTorrent(digestOf("a"), undefined))).toEqual(catalog);
      expect(await grown(() => replicas.addCopy("one", digestOf("a")))).toEqual(copies);
      expect(await grown(() => replicas.setCopies("one", []))).toEqual(copies);
      expect(await grown(() => store.removeImage(digestOf("a"), 1))).toEqual({ catalog: true, copies: true });
      await store.addImage(imageOf("b"));
      expect(await grown(() => store.addImage(imageOf("b")).catch(() => {}))).toEqual({
        catalog: false,
        copies: false,
      });
    });

    test("gives the recording of a boot to one node at a time", async () => {
      const { replicas } = storeOf();
      const claim = (nodeId: string, endsAtMs: number) => {
        return { digest: digestOf("a"), nodeId, nodeName: `name of ${nodeId}`, endsAtMs };
      };
      expect(await replicas.claimRecording(claim("one", 100), 0)).toEqual(claim("one", 100));
      expect(await replicas.claimRecording(claim("two", 200), 50)).toEqual(claim("one", 100));
      expect(await replicas.claimRecording(claim("one", 150), 60)).toEqual(claim("one", 150));
      expect(await replicas.claimRecording(claim("two", 300), 150)).toEqual(claim("two", 300));
      await replicas.releaseRecording(digestOf("a"), "one");
      expect(await replicas.claimRecording(claim("one", 400), 200)).toEqual(claim("two", 300));
      await replicas.releaseRecording(digestOf("a"), "two");
      expect(await replicas.claimRecording(claim("one", 400), 200)).toEqual(claim("one", 400));
    });
  });
}
