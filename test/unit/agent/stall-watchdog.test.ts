import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { blame, nextStallStep, type Stall, searchDueMs } from "../../../agent/fetch/stall-watchdog.ts";

const giveUpMs = 600_000;
const calm: Stall = { quietMs: 0, barrenMs: 0, badPieces: 0, searches: 0 };
const next = (stall: Partial<Stall>, quietMsMax = giveUpMs) =>
  nextStallStep({ ...calm, ...stall }, quietMsMax, giveUpMs);

describe("a fetch that nothing arrives for", () => {
  test("is left alone at first", () => {
    expect(next({ quietMs: 1_999 })).toBe("wait");
  });
  test("then has peers looked for anew, at longer and longer intervals", () => {
    expect([0, 1, 2, 3, 4, 5, 6].map(searchDueMs)).toEqual([2_000, 6_000, 14_000, 30_000, 62_000, 122_000, 182_000]);
    expect(next({ quietMs: 2_000 })).toBe("search");
    expect(next({ quietMs: 2_000, searches: 1 })).toBe("wait");
    expect(next({ quietMs: 6_000, searches: 1 })).toBe("search");
  });
  test("fails in the end", () => {
    expect(next({ quietMs: giveUpMs, searches: 20 })).toBe("wait");
    expect(next({ quietMs: giveUpMs + 1, searches: 20 })).toBe("fail");
    expect(next({ quietMs: 5_001 }, 5_000)).toBe("fail");
  });
});

test("a fetch for which only pieces arrive that fail their hash fails too", () => {
  expect(next({ barrenMs: giveUpMs + 1, badPieces: 1 })).toBe("fail");
  expect(next({ barrenMs: giveUpMs + 1 })).toBe("wait");
  expect(next({ barrenMs: giveUpMs, badPieces: 99 })).toBe("wait");
});

test("however a silence goes on, every search comes before the end, and none after it", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 60_000 }), { maxLength: 60 }), (waits) => {
      let stall = calm;
      let failed = false;
      for (const waitMs of waits) {
        stall = { ...stall, quietMs: stall.quietMs + waitMs };
        const step = next(stall);
        failed ||= step === "fail";
        if (failed) expect(step).toBe("fail");
        if (step === "search") stall = { ...stall, searches: stall.searches + 1 };
      }
      expect(failed).toBe(stall.quietMs > giveUpMs);
    }),
  );
});

test("those who sent bad pieces are named, the worst first, and not all of many", () => {
  expect(blame(new Map())).toBe("");
  expect(
    blame(
      new Map([
        ["10.0.0.1:7411", 1],
        ["http://seeder/x", 3],
      ]),
    ),
  ).toBe("pieces that failed their hash came from http://seeder/x (3), 10.0.0.1:7411 (1)");
  const many = new Map(Array.from({ length: 9 }, (_, at) => [`h${at}`, 1]));
  expect(blame(many)).toContain("h4 (1) and 4 more");
});
