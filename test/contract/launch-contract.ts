import { describe, expect, test } from "vitest";
import type { LaunchRecord } from "../../seeder/store/launch-store.ts";
import type { Store } from "../../seeder/store/store.ts";

const nowMs = 1_790_000_000_123;

const launchOf = (launchId: string, fields: Partial<LaunchRecord> = {}): LaunchRecord => ({
  launchId,
  nodeId: "n1",
  digest: "d".repeat(64),
  count: 2,
  atMs: nowMs - 1_000,
  toldAtMs: nowMs,
  ...fields,
});

/** What every engine of the store must do for launches of late. */
export function launchContract(storeOf: () => Store, reopen: () => Promise<void>): void {
  describe("for launches of late", () => {
    const readBy = (seederId: string, mark = 0, max = 100) => storeOf().launches.readLaunches(seederId, mark, max);
    const idsOf = (launches: LaunchRecord[]) => launches.map(({ launchId }) => launchId);

    test("tells each seeder once what the others have added, in the order in which they did, also after a restart", async () => {
      const { launches } = storeOf();
      await launches.addLaunches("a", [launchOf("1"), launchOf("2")]);
      await launches.addLaunches("b", [launchOf("3")]);
      const first = await readBy("b");
      expect(first.launches).toEqual([launchOf("1"), launchOf("2")]);
      expect((await readBy("b", first.mark)).launches).toEqual([]);
      await launches.addLaunches("a", [launchOf("4", { count: 1_000, nodeId: "n2" })]);
      await reopen();
      const next = await readBy("b", first.mark);
      expect(next.launches).toEqual([launchOf("4", { count: 1_000, nodeId: "n2" })]);
      expect(idsOf((await readBy("c")).launches)).toEqual(["1", "2", "3", "4"]);
      expect(idsOf((await readBy("c", 0, 2)).launches)).toEqual(["3", "4"]);
    });

    test("has a reader miss none, however many add at once", async () => {
      const { launches } = storeOf();
      const seen: string[] = [];
      let mark = 0;
      const read = async () => {
        const found = await readBy("reader", mark);
        seen.push(...idsOf(found.launches));
        mark = found.mark;
      };
      const adding = Array.from({ length: 20 }, (_, n) => launches.addLaunches(`s${n % 3}`, [launchOf(`${n}`)]));
      for (let n = 0; n < 5; n++) await read();
      await Promise.all(adding);
      await read();
      expect(seen.map(Number).sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, n) => n));
    });

    test("tells all there is where the count went back", async () => {
      await storeOf().launches.addLaunches("a", [launchOf("1")]);
      const { mark } = await readBy("b");
      expect(idsOf((await readBy("b", mark + 5)).launches)).toEqual(["1"]);
    });

    test("forgets what was told of long ago, and all but the last", async () => {
      const { launches } = storeOf();
      await launches.addLaunches("a", [launchOf("old", { toldAtMs: nowMs - 10 })]);
      await launches.addLaunches(
        "a",
        ["1", "2", "3"].map((id) => launchOf(id)),
      );
      await launches.forgetLaunches(nowMs, 100);
      expect(idsOf((await readBy("b")).launches)).toEqual(["1", "2", "3"]);
      await launches.forgetLaunches(nowMs, 2);
      expect(idsOf((await readBy("b")).launches)).toEqual(["2", "3"]);
    });
  });
}
