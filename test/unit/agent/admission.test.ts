import "../../fixtures/property-seed.ts";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  decideAdmission,
  footprintOf,
  freeFloorOf,
  type SpaceNow,
  type SpaceRules,
  type SpaceWanted,
} from "../../../agent/cache/admission.ts";
import { type EvictionCandidate, evictionBar } from "../../../agent/cache/eviction.ts";

const MiB = 2 ** 20;
const GiB = 2 ** 30;
const nowMs = 1_000_000_000;
const roomy: SpaceNow = { allocatedBytes: 0, reservedBytes: 0, freeBytes: 100 * GiB, diskBytes: 200 * GiB };
const rules: SpaceRules = { quotaBytes: 10 * GiB, freeFloorBytes: 5 * GiB, prefetchGraceMs: 1_000 };

function candidate(fields: Partial<EvictionCandidate>): EvictionCandidate {
  const sizeBytes = fields.sizeBytes ?? GiB;
  return {
    digest: "d",
    sizeBytes,
    allocatedBytes: sizeBytes,
    freedBytes: sizeBytes,
    complete: true,
    pinned: false,
    inUse: false,
    lastUsedMs: 0,
    uses: 1,
    level: 0,
    ...fields,
  };
}

function decide(
  bytes: number,
  now: Partial<SpaceNow> = {},
  candidates: EvictionCandidate[] = [],
  more: Partial<SpaceRules> = {},
  ahead: Partial<SpaceWanted> = {},
) {
  const wanted = { sizeBytes: bytes, neededBytes: bytes, isAsked: false, ...ahead };
  return decideAdmission(wanted, { ...roomy, ...now }, candidates, { ...rules, ...more }, nowMs);
}

describe("a fetch is admitted", () => {
  test("up to the last byte of the quota, what is promised to others counted", () => {
    const now = { allocatedBytes: 4 * GiB, reservedBytes: 3 * GiB };
    expect(decide(3 * GiB, now).kind).toBe("admit");
    expect(decide(3 * GiB + 1, now).kind).toBe("full");
  });

  test("down to the floor of free space, what is promised to others counted", () => {
    const now = { freeBytes: 10 * GiB, reservedBytes: 2 * GiB };
    expect(decide(3 * GiB, now, [], { quotaBytes: 0 }).kind).toBe("admit");
    expect(decide(3 * GiB + 1, now, [], { quotaBytes: 0 }).kind).toBe("full");
  });

  test("whatever the figures, if all its bytes are on disk", () => {
    const now = { ...roomy, freeBytes: 0, allocatedBytes: 20 * GiB };
    expect(decideAdmission({ sizeBytes: GiB, neededBytes: 0, isAsked: true }, now, [], rules, nowMs).kind).toBe(
      "admit",
    );
  });

  test("in the place of what was just brought ahead of need, if somebody asks for it and nothing else can go", () => {
    const ahead = candidate({ digest: "ahead", sizeBytes: 4 * GiB, prefetchedMs: nowMs });
    const plain = candidate({ digest: "plain", sizeBytes: 4 * GiB, uses: 100 });
    const now = { allocatedBytes: 10 * GiB };
    const asked = (bytes: number, isAsked: boolean) => {
      const decision = decide(bytes, now, [ahead, plain], {}, { isAsked });
      return decision.kind === "evict" ? decision.victims.map(({ digest }) => digest) : decision.kind;
    };
    expect(asked(GiB, true)).toEqual(["plain"]);
    expect(asked(5 * GiB, false)).toBe("full");
    expect(asked(5 * GiB, true)).toEqual(["ahead", "plain"]);
  });

  test("ahead of need in the place of what is worth less, never of what is worth more", () => {
    const seldom = candidate({ digest: "seldom", uses: 1, lastUsedMs: nowMs });
    const often = candidate({ digest: "often", uses: 8, lastUsedMs: nowMs });
    const now = { allocatedBytes: 10 * GiB };
    const at = (worth: number) => decide(GiB, now, [often, seldom], {}, { worth });
    expect(at(4)).toMatchObject({ kind: "evict", victims: [{ digest: "seldom" }] });
    const refused = at(1);
    expect(refused.kind === "full" && refused.reason).toContain("0 B of what is worth less than it can be evicted");
  });

  test("once others have gone, where that is enough", () => {
    const [small, large] = [candidate({ digest: "small" }), candidate({ digest: "large", sizeBytes: 4 * GiB })];
    const now = { allocatedBytes: 10 * GiB };
    expect(decide(2 * GiB, now, [small, large])).toEqual({ kind: "evict", victims: [large] });
    expect(decide(6 * GiB, now, [small, large]).kind).toBe("full");
  });
});

describe("a refusal", () => {
  test("has the figures, and what keeps which images", () => {
    const candidates = [
      candidate({ pinned: true, sizeBytes: 2 * GiB }),
      candidate({ inUse: true }),
      candidate({ prefetchedMs: nowMs, sizeBytes: 300 * MiB }),
      candidate({ sizeBytes: 100 * MiB }),
    ];
    const now = { allocatedBytes: 9 * GiB, freeBytes: 6 * GiB, reservedBytes: 512 * MiB };
    expect(decide(4 * GiB, now, candidates)).toEqual({
      kind: "full",
      isHopeless: false,
      reason:
        `it needs 4.0 GiB (${4 * GiB} bytes), the disk has 6.0 GiB free (${6 * GiB} bytes), of which 5.0 GiB are left to ` +
        "others (cache.freeFloorBytes), the cache has 9.0 GiB of its 10.0 GiB in use (cache.quotaBytes), 512 MiB are " +
        "promised to fetches under way, 100 MiB can be evicted; pinned: 2.0 GiB, in use: 1.0 GiB, just prefetched: 300 MiB",
    });
  });

  test("is for good if an empty cache would not do, and evicts nothing", () => {
    expect(decide(11 * GiB, { allocatedBytes: 9 * GiB }, [candidate({ sizeBytes: 9 * GiB })])).toMatchObject({
      kind: "full",
      isHopeless: true,
    });
    expect(decide(196 * GiB, {}, [candidate({ sizeBytes: 100 * GiB })], { quotaBytes: 0 })).toMatchObject({
      isHopeless: true,
    });
  });
});

test("the floor is 5 % of the disk and 10 GiB at most, unless an operator says another", () => {
  expect(freeFloorOf("auto", 100 * GiB)).toBe(5 * GiB);
  expect(freeFloorOf("auto", 10_000 * GiB)).toBe(10 * GiB);
  expect(freeFloorOf(7, 100 * GiB)).toBe(7);
});

test("bytes take whole blocks", () => {
  expect([0, 1, 4_096, 4_097].map(footprintOf)).toEqual([0, 4_096, 4_096, 8_192]);
});

test("whatever the figures: what is admitted fits the quota and leaves the floor, after the evictions if there are any", () => {
  const bytes = fc.integer({ min: 0, max: 10_000 });
  const image = fc.record({
    sizeBytes: fc.integer({ min: 1, max: 3_000 }),
    isLinked: fc.boolean(),
    pinned: fc.boolean(),
    inUse: fc.boolean(),
    uses: fc.integer({ min: 0, max: 5 }),
    prefetchedMs: fc.constantFrom(undefined, nowMs, nowMs - 2_000),
  });
  const situation = fc.record({
    images: fc.array(image, { maxLength: 8 }),
    sizeBytes: fc.integer({ min: 1, max: 10_000 }),
    hereBytes: bytes,
    reservedBytes: bytes,
    otherBytes: bytes,
    quotaBytes: bytes,
    freeFloorBytes: bytes,
    freeBytes: bytes,
  });
  fc.assert(
    fc.property(situation, ({ images, sizeBytes, hereBytes, reservedBytes, otherBytes, freeBytes, ...limits }) => {
      const candidates = images.map(({ isLinked, prefetchedMs, ...fields }, index) =>
        candidate({
          ...fields,
          digest: String(index),
          ...(isLinked && { freedBytes: 0 }),
          ...(prefetchedMs !== undefined && { prefetchedMs }),
        }),
      );
      const allocatedBytes = otherBytes + candidates.reduce((sum, each) => sum + each.allocatedBytes, 0);
      const now = { allocatedBytes, reservedBytes, freeBytes, diskBytes: 20_000 };
      const neededBytes = Math.max(0, sizeBytes - hereBytes);
      const all: SpaceRules = { ...limits, prefetchGraceMs: 1_000 };
      const decision = decideAdmission({ sizeBytes, neededBytes, isAsked: false }, now, candidates, all, nowMs);
      if (decision.kind === "full" || neededBytes === 0) return;
      const gone = decision.kind === "evict" ? decision.victims : [];
      const ours = allocatedBytes - gone.reduce((sum, each) => sum + each.allocatedBytes, 0);
      const free = freeBytes + gone.reduce((sum, each) => sum + each.freedBytes, 0);
      if (all.quotaBytes > 0) expect(ours + reservedBytes + neededBytes).toBeLessThanOrEqual(all.quotaBytes);
      expect(free - reservedBytes - neededBytes).toBeGreaterThanOrEqual(all.freeFloorBytes);
      for (const each of gone) expect(evictionBar(each, all, nowMs)).toBeUndefined();
    }),
  );
});
