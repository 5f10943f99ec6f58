import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FetchSchema, FetchState } from "../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import type { HoldingFacts, NodeFacts, SharedNode } from "../../seeder/inventory/facts.ts";
import { supersedes } from "../../seeder/inventory/supersedes.ts";
import type { InventoryStore, NodeChange } from "../../seeder/store/inventory-store.ts";
import type { Store } from "../../seeder/store/store.ts";
import type { StorePlace } from "./store-contract.ts";

const digestOf = (letter: string) => letter.repeat(64);

const nodeOf = (id: string): NodeFacts => ({
  id,
  name: `name of ${id}`,
  apiUrl: "http://10.0.0.1:7410",
  version: "0.1.0",
  zone: "rack-1",
  cacheBytes: 1,
  diskFreeBytes: Number.MAX_SAFE_INTEGER,
  diskSizeBytes: Number.MAX_SAFE_INTEGER,
  reportIntervalMs: 10_000,
});

const holdingOf = (letter: string, allocatedBytes = 123_456_789_012): HoldingFacts => ({
  digest: digestOf(letter),
  allocatedBytes,
  pinned: letter === "p",
  lastUsedAtMs: letter === "u" ? 1_790_000_000_000 : undefined,
});

const sharedOf = (id: string, fields: Partial<SharedNode> = {}): SharedNode => ({
  node: nodeOf(id),
  epoch: 2n ** 64n - 1n,
  sequence: 1n,
  reportedAtMs: 1_790_000_000_000,
  leaseMs: 30_000,
  peer: undefined,
  fetches: [],
  seederId: "one",
  ...fields,
});

const changeOf = (id: string, holdings: NodeChange["holdings"], fields: Partial<SharedNode> = {}): NodeChange => ({
  ...sharedOf(id, fields),
  holdings,
});

/** A change of a node that holds one image. */
export const nodeChangeOf = (id: string): NodeChange => changeOf(id, all("a"));

const all = (...letters: string[]) => ({ all: letters.map((letter) => holdingOf(letter)) });

/** What every engine of the inventory's store must do. */
export function inventoryContract(engine: string, makePlace: () => Promise<StorePlace>): void {
  describe(`nodes in a ${engine} store`, () => {
    let place: StorePlace;
    let opened: Store;
    let store: InventoryStore;

    const open = async () => {
      opened = await place.open();
      store = opened.inventory;
    };
    beforeEach(async () => {
      place = await makePlace();
      await open();
    });
    afterEach(async () => {
      await opened.close();
      await place.remove();
    });
    const reopen = async () => {
      await opened.close();
      await open();
    };
    /** The digests' letters of what a node holds; undefined if it is not there. */
    const held = async (id: string) => {
      const { nodes } = await store.loadNodes();
      const holdings = nodes.find(({ node }) => node.id === id)?.holdings;
      return holdings && "all" in holdings ? lettersOf(holdings.all) : undefined;
    };
    const lettersOf = (holdings: readonly HoldingFacts[]) =>
      holdings
        .map(({ digest }) => digest[0])
        .sort()
        .join("");
    const save = (...changes: NodeChange[]) => store.saveNodes("one", changes, []);

    test("are given back with all that was reported, also after a restart", async () => {
      const fetches = [
        create(FetchSchema, { digest: digestOf("f"), state: FetchState.ACTIVE, doneBytes: 5_000_000_000n }),
        create(FetchSchema, { digest: digestOf("q"), state: FetchState.PAUSED, error: 'the disk is "full"\u2028' }),
      ];
      const peer = { host: "2001:db8::1", port: 7411 };
      const change = changeOf("n1", all("a", "p", "u"), { fetches, peer, sequence: 2n ** 40n });
      await save(change);
      await reopen();
      const { nodes } = await store.loadNodes();
      expect(nodes).toEqual([{ ...change, holdings: { all: expect.any(Array) } }]);
      const read = nodes[0]?.holdings as { all: HoldingFacts[] };
      expect(read.all.sort((a, b) => (a.digest < b.digest ? -1 : 1))).toEqual(all("a", "p", "u").all);
    });

    test("hold what is added, changed, removed, or put in the place of it all", async () => {
      await save(changeOf("n1", all("a", "b", "c")), changeOf("n2", all("a")));
      await save(changeOf("n1", { changed: [holdingOf("b", 7), holdingOf("d")], removed: [digestOf("a")] }));
      expect(await held("n1")).toBe("bcd");
      await save(changeOf("n1", undefined));
      expect(await held("n1")).toBe("bcd");
      await save(changeOf("n1", all("d", "e")));
      expect(await held("n1")).toBe("de");
      await save(changeOf("n1", all()));
      expect(await held("n1")).toBe("");
      expect(await held("n2")).toBe("a");
    });

    test("are removed with their holdings, unless they have reported since", async () => {
      await save(changeOf("n1", all("a")), changeOf("n2", all("a")), changeOf("n3", all("a"), { reportedAtMs: 2 }));
      const { reportedAtMs } = sharedOf("n1");
      await store.saveNodes(
        "one",
        [],
        [
          { id: "n1", reportedAtMs },
          { id: "never-there", reportedAtMs },
          { id: "n3", reportedAtMs: 1 },
        ],
      );
      expect((await store.loadNodes()).nodes.map(({ node }) => node.id).sort()).toEqual(["n2", "n3"]);
      expect(await held("n3")).toBe("a");
    });

    test("that are told of without all their holdings, and are not known, are named", async () => {
      await save(changeOf("n1", all("a")));
      const { incompleteIds } = await save(
        changeOf("n1", { changed: [holdingOf("b")], removed: [] }),
        changeOf("n2", { changed: [holdingOf("b")], removed: [] }),
        changeOf("n3", undefined),
        changeOf("n4", all()),
      );
      expect(incompleteIds.sort()).toEqual(["n2", "n3"]);
    });

    test("with as many holdings as there may be are kept", async () => {
      const holdings = Array.from({ length: 10_000 }, (_, index) => ({
        ...holdingOf("a"),
        digest: index.toString(16).padStart(64, "0"),
      }));
      await save(changeOf("n1", { all: holdings }));
      expect((await store.loadNodes()).nodes[0]?.holdings).toMatchObject({ all: { length: 10_000 } });
    });

    test("are read by other seeders from where they left off, with what has changed and nothing else", async () => {
      await save(changeOf("n1", all("a", "b")), changeOf("n2", all("a")));
      const { mark } = await store.loadNodes();
      expect(await store.readNodes(mark, "two")).toMatchObject({ nodes: [], anew: false, ids: undefined });
      await save(changeOf("n1", { changed: [holdingOf("c")], removed: [] }));
      const first = await store.readNodes(mark, "two");
      expect(first.nodes).toMatchObject([{ node: { id: "n1" }, holdings: { changed: [holdingOf("c")], removed: [] } }]);
      await save(changeOf("n1", undefined, { leaseMs: 5 }), changeOf("n2", { changed: [], removed: [digestOf("a")] }));
      const second = await store.readNodes(first.mark, "two");
      const byId = new Map(second.nodes.map((node) => [node.node.id, node]));
      expect(byId.get("n1")).toMatchObject({ leaseMs: 5, holdings: undefined });
      expect(byId.get("n2")?.holdings).toEqual({ all: [] });
      // What a seeder wrote itself it is not told.
      expect((await store.readNodes(mark, "one")).nodes).toEqual([]);
      expect((await store.readNodes(second.mark, "two")).nodes).toEqual([]);
    });

    test("written again as they were give readers no holdings to read", async () => {
      await save(changeOf("n1", all("a", "u")));
      const { mark } = await store.loadNodes();
      await save(changeOf("n1", all("a", "u")));
      const [node] = (await store.readNodes(mark, "two")).nodes;
      expect(node?.holdings).toEqual({ changed: [], removed: [] });
    });

    test("that were removed are told of, and come back with nothing of what they held", async () => {
      await save(changeOf("n1", all("a")), changeOf("n2", all("a")));
      const { mark } = await store.loadNodes();
      await store.saveNodes("one", [], [{ id: "n1", reportedAtMs: Number.MAX_SAFE_INTEGER }]);
      await save(changeOf("n1", undefined));
      const { ids, nodes } = await store.readNodes(mark, "two");
      expect([...(ids ?? [])].sort()).toEqual(["n1", "n2"]);
      expect(nodes).toMatchObject([{ node: { id: "n1" }, holdings: { all: [] } }]);
      await store.saveNodes("one", [], [{ id: "n1", reportedAtMs: Number.MAX_SAFE_INTEGER }]);
      expect([...((await store.readNodes(mark, "two")).ids ?? [])]).toEqual(["n2"]);
    });

    test("that another seeder knows by a later report are refused, and stay as they are", async () => {
      await store.saveNodes("two", [changeOf("n1", all("b"), { sequence: 5n, seederId: "two" })], []);
      const older = await save(changeOf("n1", all("a"), { sequence: 4n }), changeOf("n2", all("a")));
      expect(older.refusedIds).toEqual(["n1"]);
      expect(await held("n1")).toBe("b");
      expect((await save(changeOf("n1", all("a"), { sequence: 6n }))).refusedIds).toEqual([]);
      expect(await held("n1")).toBe("a");
    });

    test("go to the seeder with the later report by the very rule that seeders apply themselves", async () => {
      const word = fc.record({
        epoch: fc.constantFrom(1n, 2n),
        sequence: fc.bigInt(1n, 3n),
        reportedAtMs: fc.integer({ min: 1, max: 3 }),
      });
      let run = 0;
      await fc.assert(
        fc.asyncProperty(word, word, async (before, after) => {
          const id = `n${++run}`;
          await store.saveNodes("two", [changeOf(id, undefined, { ...before, seederId: "two" })], []);
          const { refusedIds } = await store.saveNodes("one", [changeOf(id, undefined, after)], []);
          expect(refusedIds.length === 0).toBe(supersedes(after, before));
        }),
        { numRuns: 40 },
      );
    });

    test("are all told, and said to be, when the tables were made anew or went back to an earlier state", async () => {
      await save(changeOf("n1", all("a")));
      const { mark } = await store.loadNodes();
      const other = { ...mark, generation: "another" };
      expect(await store.readNodes(other, "two")).toMatchObject({ anew: true, nodes: [{ node: { id: "n1" } }] });
      const later = { ...mark, change: mark.change + 1 };
      expect(await store.readNodes(later, "two")).toMatchObject({ anew: true, ids: new Set(["n1"]), anyHolding: true });
    });
  });
}
