import { expect, test } from "vitest";
import { nextReport } from "../../../agent/report/pace.ts";

const answer = { fullReportWanted: false, fullReportAfterMs: 0, nextReportMs: 0 };
const next = (said: Partial<typeof answer>, fetchesActive = false, wasFull = false, random = 0) =>
  nextReport({ ...answer, ...said }, 10_000, fetchesActive, wasFull, () => random);

test("a node reports at its interval, more often while it fetches, and a little before its time by chance", () => {
  expect(next({}).restMs).toBe(10_000);
  expect(next({}, true).restMs).toBe(2_000);
  expect(next({}, false, false, 0.5).restMs).toBe(9_500);
});

test("a seeder can slow it down, not hurry it on nor silence it", () => {
  expect(next({ nextReportMs: 25_000 }).restMs).toBe(25_000);
  expect(next({ nextReportMs: 5_000 }, true).restMs).toBe(5_000);
  expect(next({ nextReportMs: 5_000 }).restMs).toBe(10_000);
  expect(next({ nextReportMs: 2 ** 32 - 1 }).restMs).toBe(160_000);
});

test("a full report that is wanted goes at once, or after the time said", () => {
  expect(next({ fullReportWanted: true })).toEqual({ restMs: 0, fullAfterMs: 0 });
  expect(next({ fullReportWanted: true, fullReportAfterMs: 700 })).toEqual({ restMs: 700, fullAfterMs: 700 });
  expect(next({ fullReportWanted: true, fullReportAfterMs: 30_000 })).toEqual({ restMs: 10_000, fullAfterMs: 30_000 });
});

test("a full report answered by a wish for another is no reason to hurry", () => {
  expect(next({ fullReportWanted: true }, false, true).restMs).toBe(10_000);
});
