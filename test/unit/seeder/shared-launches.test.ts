/** Launches told to one of several seeders, with a real store. */
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { createLog } from "../../../daemon/log.ts";
import { LaunchIds } from "../../../seeder/placement/launch-ids.ts";
import { launchesUnsavedMax } from "../../../seeder/placement/limits.ts";
import { RecentLaunches } from "../../../seeder/placement/recent-launches.ts";
import { SharedLaunches } from "../../../seeder/placement/shared-launches.ts";
import type { LaunchStore } from "../../../seeder/store/launch-store.ts";
import { openSqliteStore } from "../../../seeder/store/sqlite.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";

const digest = "d".repeat(64);
const nowMs = 1_790_000_000_000;
const halfLifeMs = 60_000;
const log = createLog({ level: "silent", name: "test" });

async function openLaunchStore(): Promise<LaunchStore> {
  const store = await openSqliteStore(join(await temporaryDirectory(), "seeder.sqlite"), log);
  onTestFinished(() => store.close());
  return store.launches;
}

async function openSeeder(store: LaunchStore, seederId: string, atMs = nowMs) {
  const [ids, heat] = [new LaunchIds(), new RecentLaunches(halfLifeMs)];
  const shared = await SharedLaunches.open({ store, seederId, isShared: true, ids, heat, nowMs: () => atMs, log });
  onTestFinished(() => shared.close());
  /** As placement takes a launch in. */
  const tell = (launchId: string, nodeId = "n1", count = 1) => {
    if (!ids.add(launchId, atMs)) return false;
    heat.record({ digest, nodeId, atMs, count });
    shared.record({ digest, nodeId, atMs, count, launchId });
    return true;
  };
  return { shared, heat, tell };
}

test("what one seeder is told of heats the node for the other, makes its image expected there, and counts once", async () => {
  const store = await openLaunchStore();
  const [a, b] = [await openSeeder(store, "a"), await openSeeder(store, "b")];
  expect(a.tell("vm-1", "n1", 3)).toBe(true);
  await a.shared.sync();
  await b.shared.sync();
  await b.shared.sync();
  expect(b.heat.launchesOn("n1", nowMs)).toBe(3);
  expect(b.heat.isExpected("n1", digest, nowMs)).toBe(true);
  expect(b.tell("vm-1")).toBe(false);
  await a.shared.sync();
  expect(a.heat.launchesOn("n1", nowMs)).toBe(3);
});

test("one told to both within a moment heats the node once", async () => {
  const store = await openLaunchStore();
  const [a, b] = [await openSeeder(store, "a"), await openSeeder(store, "b")];
  expect([a.tell("vm-1"), b.tell("vm-1")]).toEqual([true, true]);
  for (const seeder of [a, b, a]) await seeder.shared.sync();
  expect([a, b].map(({ heat }) => heat.launchesOn("n1", nowMs))).toEqual([1, 1]);
});

test("a seeder that starts anew knows what it was told, with the heat that is left", async () => {
  const store = await openLaunchStore();
  const before = await openSeeder(store, "before");
  before.tell("vm-1", "n1", 4);
  await before.shared.close();
  const after = await openSeeder(store, "after", nowMs + halfLifeMs);
  expect(after.heat.launchesOn("n1", nowMs + halfLifeMs)).toBeCloseTo(2);
  expect(after.tell("vm-1")).toBe(false);
});

test("what a store that does not answer could not be told, it is told later, up to a bound", async () => {
  const store = await openLaunchStore();
  let isAway = true;
  const away: LaunchStore = {
    addLaunches: (...args) => (isAway ? Promise.reject(new Error("away")) : store.addLaunches(...args)),
    readLaunches: (...args) => store.readLaunches(...args),
    forgetLaunches: (...args) => store.forgetLaunches(...args),
  };
  const [a, b] = [await openSeeder(away, "a"), await openSeeder(store, "b")];
  for (let n = 0; n < launchesUnsavedMax + 5; n++) a.tell(`vm-${n}`);
  await expect(a.shared.sync()).rejects.toThrow("away");
  isAway = false;
  await a.shared.sync();
  await b.shared.sync();
  expect(b.heat.launchesOn("n1", nowMs)).toBe(launchesUnsavedMax);
  expect([b.tell("vm-4"), b.tell("vm-5")]).toEqual([true, false]);
});

test("what takes long to read at the start is read once", async () => {
  const store = await openLaunchStore();
  const before = await openSeeder(store, "before");
  before.tell("", "n1", 4);
  await before.shared.close();
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  onTestFinished(() => void vi.useRealTimers());
  const slow: LaunchStore = {
    addLaunches: (...args) => store.addLaunches(...args),
    readLaunches: async (...args) => {
      const read = await store.readLaunches(...args);
      vi.advanceTimersByTime(2_000);
      return read;
    },
    forgetLaunches: (...args) => store.forgetLaunches(...args),
  };
  const after = await openSeeder(slow, "after");
  await after.shared.close();
  expect(after.heat.launchesOn("n1", nowMs)).toBe(4);
});
