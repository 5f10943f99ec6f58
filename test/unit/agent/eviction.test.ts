import "../../fixtures/property-seed.ts";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  afterUse,
  chooseVictims,
  type EvictionCandidate,
  evictionBar,
  type Lack,
  worthOf,
} from "../../../agent/cache/eviction.ts";
import { unusedRecord } from "../../../agent/cache/records.ts";

const GiB = 2 ** 30;
const dayMs = 24 * 3_600_000;
const nowMs = Date.parse("2026-06-01T00:00:00Z");
const rules = { prefetchGraceMs: 3_600_000 };

function candidate(digest: string, fields: Partial<EvictionCandidate> = {}): EvictionCandidate {
  const sizeBytes = fields.sizeBytes ?? GiB;
  return {
    digest,
    sizeBytes,
    allocatedBytes: sizeBytes,
    freedBytes: sizeBytes,
    complete: true,
    pinned: false,
    inUse: false,
    lastUsedMs: nowMs,
    uses: 1,
    level: 0,
    ...fields,
  };
}

/** Digests of those that go so that so much comes free, in our quota and on the disk. */
function victims(candidates: EvictionCandidate[], bytes: number, lack: Partial<Lack> = {}): string[] | undefined {
  const chosen = chooseVictims(candidates, { quotaBytes: bytes, diskBytes: bytes, ...lack }, rules, nowMs);
  return chosen?.map(({ digest }) => digest);
}

describe("among images that may go", () => {
  test("the one that is used least goes first", () => {
    expect(victims([candidate("often", { uses: 9 }), candidate("once"), candidate("twice", { uses: 2 })], 1)).toEqual([
      "once",
    ]);
  });

  test("of two used alike the larger goes, and of two of one size the one not used for longer", () => {
    expect(victims([candidate("small", { sizeBytes: GiB }), candidate("large", { sizeBytes: 9 * GiB })], 1)).toEqual([
      "large",
    ]);
    expect(victims([candidate("new"), candidate("old", { lastUsedMs: nowMs - 1 })], 1)).toEqual(["old"]);
  });

  test("what was popular long ago goes before what is used now", () => {
    const past = candidate("past", { uses: 50, lastUsedMs: nowMs - 120 * dayMs });
    expect(victims([candidate("now"), past], 1)).toEqual(["past"]);
  });

  test("what was last used at a lower level goes before what came since", () => {
    expect(victims([candidate("since", { level: 20 }), candidate("before", { uses: 5 })], 1)).toEqual(["before"]);
  });

  test("what the inventory calls popular stays", () => {
    expect(victims([candidate("told", { popularity: 3 }), candidate("used", { uses: 2 })], 1)).toEqual(["used"]);
  });

  test("what is left of a fetch goes before every image", () => {
    const left = candidate("left", { complete: false, uses: 100, level: 100, sizeBytes: 1_000 });
    expect(victims([candidate("once"), left], 1)).toEqual(["left"]);
  });

  test("none goes that could stay once a large one has gone", () => {
    const small = candidate("small", { sizeBytes: 1_000, uses: 0, level: 0 });
    const large = candidate("large", { sizeBytes: 9 * GiB, level: 1 });
    expect(victims([small, large], 5 * GiB)).toEqual(["large"]);
  });

  test("what another link keeps on the disk makes no room there, but in our quota", () => {
    const linked = candidate("linked", { uses: 0, freedBytes: 0 });
    expect(victims([linked, candidate("plain")], 1)).toEqual(["plain"]);
    expect(victims([linked, candidate("plain")], 1, { diskBytes: 0 })).toEqual(["linked"]);
  });
});

test.each<[string, Partial<EvictionCandidate>]>([
  ["pinned", { pinned: true }],
  ["in use", { inUse: true }],
  ["just prefetched", { prefetchedMs: nowMs - 3_599_999 }],
])("what is %s is never chosen, if need be nothing is", (bar, fields) => {
  expect(evictionBar(candidate("kept", fields), rules, nowMs)).toBe(bar);
  expect(victims([candidate("kept", { ...fields, uses: 0 }), candidate("other", { uses: 9 })], 1)).toEqual(["other"]);
  expect(victims([candidate("kept", fields)], 1)).toBeUndefined();
});

test("the grace of what was prefetched ends", () => {
  expect(victims([candidate("came", { prefetchedMs: nowMs - 3_600_000 })], 1)).toEqual(["came"]);
});

test("a use counts once more, at the level of the day, and half after two weeks", () => {
  const first = afterUse({ ...unusedRecord(new Date(nowMs)), prefetched: true }, 2.5, new Date(nowMs));
  expect(first).toMatchObject({ uses: 1, level: 2.5, prefetched: false });
  expect(afterUse(first, 1, new Date(nowMs + 14 * dayMs))).toMatchObject({ uses: 1.5, level: 2.5 });
});

const candidates = fc
  .array(
    fc.record({
      sizeBytes: fc.integer({ min: 1, max: 1_000 }),
      linked: fc.boolean(),
      complete: fc.boolean(),
      pinned: fc.boolean(),
      inUse: fc.boolean(),
      agoMs: fc.integer({ min: 0, max: 100 * dayMs }),
      uses: fc.integer({ min: 0, max: 20 }),
      level: fc.double({ min: 0, max: 20, noNaN: true }),
      prefetched: fc.boolean(),
    }),
    { maxLength: 12 },
  )
  .map((fields) =>
    fields.map(({ linked, agoMs, prefetched, ...rest }, index) =>
      candidate(`image-${index}`, {
        ...rest,
        lastUsedMs: nowMs - agoMs,
        ...(linked && { freedBytes: 0 }),
        ...(prefetched && { prefetchedMs: nowMs - agoMs }),
      }),
    ),
  );
const lacks = fc.record({
  quotaBytes: fc.integer({ min: -500, max: 4_000 }),
  diskBytes: fc.integer({ min: -500, max: 4_000 }),
});

/** Whether those that go are enough. */
function suffices(chosen: readonly EvictionCandidate[], lack: Lack): boolean {
  const quota = chosen.reduce((bytes, { allocatedBytes }) => bytes + allocatedBytes, 0);
  const disk = chosen.reduce((bytes, { freedBytes }) => bytes + freedBytes, 0);
  return quota >= lack.quotaBytes && disk >= lack.diskBytes;
}

test("whatever there is: nobody goes who must stay, those who go are enough, and none of them could stay", () => {
  fc.assert(
    fc.property(candidates, lacks, (all, lack) => {
      const free = all.filter((each) => evictionBar(each, rules, nowMs) === undefined);
      const chosen = chooseVictims(all, lack, rules, nowMs);
      if (!chosen) return !suffices(free, lack);
      expect(chosen.every((each) => free.includes(each))).toBe(true);
      expect(suffices(chosen, lack)).toBe(true);
      for (const each of chosen)
        expect(
          suffices(
            chosen.filter((other) => other !== each),
            lack,
          ),
        ).toBe(false);
      return true;
    }),
  );
});

test("whatever there is: of images of one size, none goes that is worth more than one that stays", () => {
  fc.assert(
    fc.property(candidates, fc.integer({ min: 1, max: 4_000 }), (all, bytes) => {
      const alike = all.map((each) => ({ ...each, sizeBytes: 100, allocatedBytes: 100, freedBytes: 100 }));
      const chosen = chooseVictims(alike, { quotaBytes: bytes, diskBytes: 0 }, rules, nowMs) ?? [];
      const stay = alike.filter((each) => !chosen.includes(each) && evictionBar(each, rules, nowMs) === undefined);
      const worths = (each: EvictionCandidate[]) => each.map((one) => worthOf(one, nowMs));
      return Math.max(...worths(chosen)) <= Math.min(...worths(stay));
    }),
  );
});
