import { describe, expect, test } from "vitest";
import type { OperatorPrefetch } from "../../seeder/prefetch/operator-prefetch.ts";
import type { Store } from "../../seeder/store/store.ts";

const dayMs = 86_400_000;
const nowMs = 1_790_000_000_123;
const digest = "d".repeat(64);

const prefetchOf = (id: string, fields: Partial<OperatorPrefetch> = {}): OperatorPrefetch => ({
  id,
  digest,
  name: "debian",
  sizeBytes: 2 ** 40,
  nodeIds: ["n1", "n2"],
  zone: "",
  count: 0,
  state: "running",
  createdAtMs: nowMs,
  endedAtMs: undefined,
  targets: new Map([
    ["n1", { state: "pending", error: "" }],
    ["n2", { state: "pending", error: "" }],
  ]),
  ...fields,
});

/** What every engine of the store must do for prefetching. */
export function prefetchContract(storeOf: () => Store, reopen: () => Promise<void>): void {
  describe("for prefetching", () => {
    const scoresOf = async () =>
      (await storeOf().prefetch.loadPopularity())
        .sort((a, b) => (a.zone < b.zone ? -1 : 1))
        .map(({ zone, score, atMs }) => [zone, Number(score.toFixed(9)), atMs]);

    test("adds launches to what is there, whichever is later, and keeps them through a restart", async () => {
      const add = (score: number, atMs: number, zone = "r1") =>
        storeOf().prefetch.addPopularity([{ zone, digest, score, atMs }], dayMs);
      await add(4, nowMs);
      await add(1, nowMs + dayMs);
      await add(8, nowMs - dayMs);
      await add(3, nowMs, "r2");
      await reopen();
      expect(await scoresOf()).toEqual([
        ["r1", 2 + 1 + 2, nowMs + dayMs],
        ["r2", 3, nowMs],
      ]);
    });

    test("counts what several add at once, in whichever order they name it", async () => {
      const zones = Array.from({ length: 20 }, (_, index) => `z${index}`);
      const entries = zones.map((zone) => ({ zone, digest, score: 1, atMs: nowMs }));
      const { prefetch } = storeOf();
      await Promise.all(
        Array.from({ length: 6 }, (_, index) =>
          prefetch.addPopularity(index % 2 === 0 ? entries : entries.toReversed(), dayMs),
        ),
      );
      expect((await scoresOf()).map(([, score]) => score)).toEqual(zones.map(() => 6));
    });

    test("forgets what nobody has launched for long, and never fails for it", async () => {
      const { prefetch } = storeOf();
      await prefetch.addPopularity([{ zone: "old", digest, score: 1, atMs: nowMs - 5_000 * dayMs }], dayMs);
      await prefetch.addPopularity([{ zone: "old", digest, score: 1, atMs: nowMs - 7 * dayMs }], dayMs);
      await prefetch.addPopularity([{ zone: "new", digest, score: 1, atMs: nowMs - dayMs }], dayMs);
      await prefetch.forgetPopularity(0.01, nowMs, dayMs);
      expect((await scoresOf()).map(([zone]) => zone)).toEqual(["new"]);
    });

    test("knows in which zones schedulers tell of launches", async () => {
      const { prefetch } = storeOf();
      await prefetch.noteLaunchZone("", nowMs);
      await prefetch.noteLaunchZone("r1", nowMs);
      await prefetch.noteLaunchZone("r1", nowMs + 1);
      expect(await prefetch.loadLaunchZones()).toEqual(
        new Map([
          ["", nowMs],
          ["r1", nowMs + 1],
        ]),
      );
    });

    test("keeps prefetches with their nodes; what is over stays over, whoever saves it late", async () => {
      const { prefetch } = storeOf();
      await prefetch.savePrefetch(prefetchOf("a"));
      await prefetch.savePrefetch(
        prefetchOf("a", {
          targets: new Map([["n1", { state: "failed", error: "no room" }]]),
          endedAtMs: nowMs,
          state: "failed",
        }),
      );
      await prefetch.savePrefetch(prefetchOf("a"));
      await reopen();
      const [kept] = await storeOf().prefetch.loadPrefetches(0);
      expect(kept).toEqual(
        prefetchOf("a", {
          state: "failed",
          endedAtMs: nowMs,
          targets: new Map([
            ["n1", { state: "failed", error: "no room" }],
            ["n2", { state: "pending", error: "" }],
          ]),
        }),
      );
    });

    test("lists those that run, and those that ended after a time", async () => {
      const { prefetch } = storeOf();
      await prefetch.savePrefetch(prefetchOf("runs", { nodeIds: [], zone: "r1", count: 3, createdAtMs: 1 }));
      await prefetch.savePrefetch(prefetchOf("early", { state: "done", endedAtMs: 100, createdAtMs: 2 }));
      await prefetch.savePrefetch(prefetchOf("late", { state: "cancelled", endedAtMs: 200, createdAtMs: 3 }));
      expect((await prefetch.loadPrefetches(100)).map(({ id }) => id)).toEqual(["runs", "late"]);
      await prefetch.forgetPrefetches(200);
      expect((await prefetch.loadPrefetches(0)).map(({ id }) => id)).toEqual(["runs", "late"]);
    });

    test("has one seeder plan after the other, each with what the others that live have planned", async () => {
      const { prefetch } = storeOf();
      const live = new Set(["a", "b", "c"]);
      const copyOf = (nodeId: string) => ({ nodeId, zone: "r1", digest, plannedAtMs: nowMs });
      const seen: string[][] = [];
      let planning = 0;
      const plan = (id: string, alive = live) =>
        prefetch.planAlone(id, alive, async (others) => {
          expect(++planning).toBe(1);
          seen.push(others.map(({ nodeId }) => nodeId).sort());
          await new Promise((resolve) => setImmediate(resolve));
          planning--;
          return [copyOf(`${id}1`), copyOf(`${id}2`)];
        });
      await Promise.all(["a", "b", "c"].map((id) => plan(id)));
      expect(seen.map((nodes) => nodes.length)).toEqual([0, 2, 4]);
      await plan("b");
      expect(seen.at(-1)).toEqual(["a1", "a2", "c1", "c2"]);
      await plan("b", new Set(["b", "c"]));
      expect(seen.at(-1)).toEqual(["c1", "c2"]);
      await prefetch.planAlone("c", live, async () => []);
      await prefetch.planAlone("a", live, async (others) => {
        expect(others).toEqual([copyOf("b1"), copyOf("b2")]);
        return [];
      });
    });

    test("keeps what a seeder had planned where its next plan fails", async () => {
      const { prefetch } = storeOf();
      const copy = { nodeId: "n", zone: "", digest, plannedAtMs: nowMs };
      const live = new Set(["a", "b"]);
      await prefetch.planAlone("a", live, async () => [copy]);
      await expect(prefetch.planAlone("a", live, () => Promise.reject(new Error("no")))).rejects.toThrow("no");
      await prefetch.planAlone("b", live, async (others) => {
        expect(others).toEqual([copy]);
        return [];
      });
    });
  });
}
