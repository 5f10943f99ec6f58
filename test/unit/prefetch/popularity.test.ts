import "../../fixtures/property-seed.ts";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type Fetch, FetchPriority, FetchSchema } from "../../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import type { HoldingFacts } from "../../../seeder/inventory/facts.ts";
import { expectedWithinHalfLife, perDay, scoreAt, sumOf } from "../../../seeder/prefetch/decay.ts";
import { Popularity } from "../../../seeder/prefetch/popularity.ts";
import { type NodeBefore, usesSeen } from "../../../seeder/prefetch/uses-seen.ts";

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

test("a launch counts half after a half-life", () => {
  const popularity = new Popularity(dayMs);
  popularity.add("r1", "a", 4, 0);
  expect(popularity.score("r1", "a", dayMs)).toBeCloseTo(2);
  popularity.add("r1", "a", 1, dayMs);
  expect(popularity.score("r1", "a", 2 * dayMs)).toBeCloseTo(1.5);
});

test("a steady rate is told by its score, and what the next half-life will bring", () => {
  const popularity = new Popularity(dayMs);
  for (let hour = 0; hour < 24 * 40; hour++) popularity.add("", "a", 2, hour * hourMs);
  const score = popularity.score("", "a", 24 * 40 * hourMs);
  expect(perDay(score, dayMs)).toBeCloseTo(48, -1);
  expect(expectedWithinHalfLife(score)).toBeCloseTo(48, -1);
});

test("launches come to the same in whichever order they are added, and by however many seeders", () => {
  const launches = fc.array(fc.tuple(fc.integer({ min: 0, max: 100 * hourMs }), fc.integer({ min: 1, max: 8 })), {
    maxLength: 30,
  });
  fc.assert(
    fc.property(launches, launches, (mine, others) => {
      const [a, b, all] = [0, 0, 0].map(() => new Popularity(dayMs)) as [Popularity, Popularity, Popularity];
      for (const [atMs, count] of mine) a.add("z", "d", count, atMs);
      for (const [atMs, count] of others) b.add("z", "d", count, atMs);
      for (const [atMs, count] of [...others, ...mine].reverse()) all.add("z", "d", count, atMs);
      const pending = [...a.takePending(), ...b.takePending()];
      const stored = pending.reduce((sum, each) => sumOf(sum, each, dayMs), { score: 0, atMs: 0 });
      const nowMs = 200 * hourMs;
      expect(scoreAt(stored, nowMs, dayMs)).toBeCloseTo(all.score("z", "d", nowMs), 9);
    }),
  );
});

test("what the store has takes the place of what was known, but for what it has not been told", () => {
  const popularity = new Popularity(dayMs);
  popularity.add("", "a", 1, 0);
  popularity.giveBack(popularity.takePending());
  popularity.add("", "b", 1, 0);
  popularity.load([{ zone: "", digest: "a", score: 5, atMs: 0 }]);
  expect(Object.fromEntries(popularity.scores(undefined, 0))).toEqual({ a: 6, b: 1 });
  expect(popularity.takePending()).toHaveLength(2);
});

test("zones are counted apart and together, and forgotten in time", () => {
  const popularity = new Popularity(dayMs);
  popularity.add("r1", "a", 1, 0);
  popularity.add("r2", "a", 2, 0);
  expect(popularity.scores("r1", 0).get("a")).toBe(1);
  expect(popularity.scores(undefined, 0).get("a")).toBe(3);
  popularity.forgetOld(7 * dayMs);
  expect(popularity.zones()).toEqual(["r2"]);
});

function before(holdings: HoldingFacts[] = [], fetches: Fetch[] = []): NodeBefore {
  return {
    holding: (digest) => holdings.find((each) => each.digest === digest),
    fetch: (digest) => fetches.find((each) => each.digest === digest),
  };
}
const held = (lastUsedAtMs: number | undefined): HoldingFacts => ({
  digest: "d",
  allocatedBytes: 1,
  pinned: false,
  lastUsedAtMs,
});
const coming = (priority: FetchPriority, atMs = 0) =>
  create(FetchSchema, { digest: "d", priority, requestedAt: timestampFromMs(atMs) });
const uses = (known: NodeBefore, holdings: HoldingFacts[], fetches: Fetch[] = []) =>
  usesSeen(known, { holdings, fetches }, 1e6).map(({ atMs }) => atMs);
const { ENSURE, PREFETCH } = FetchPriority;

test("a use is seen once: as the fetch that it began, or as the image that was asked for", () => {
  expect(uses(before(), [], [coming(ENSURE, 500)])).toEqual([500]);
  expect(uses(before([], [coming(ENSURE, 500)]), [], [coming(ENSURE, 500)])).toEqual([]);
  expect(uses(before([], [coming(ENSURE, 500)]), [held(501)])).toEqual([]);
  expect(uses(before(), [held(700)])).toEqual([700]);
  expect(uses(before([held(700)]), [held(700)])).toEqual([]);
});

test("what one launch does within a minute is one use; later ones are others", () => {
  expect(uses(before([held(1_000)]), [held(30_000)])).toEqual([]);
  expect(uses(before([held(1_000)]), [held(62_000)])).toEqual([62_000]);
});

test("what is brought ahead of need is no use before somebody asks for it", () => {
  expect(uses(before(), [], [coming(PREFETCH)])).toEqual([]);
  expect(uses(before([], [coming(PREFETCH)]), [held(undefined)])).toEqual([]);
  expect(usesSeen(before([held(undefined)]), { holdings: [held(900)], fetches: [] }, 1e6)).toEqual([
    { digest: "d", atMs: 900, wasPrefetched: true },
  ]);
  expect(uses(before([], [coming(PREFETCH)]), [], [coming(ENSURE, 0)])).toEqual([1e6]);
});
