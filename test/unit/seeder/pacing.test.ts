import { describe, expect, test } from "vitest";
import {
  crowdStretchMax,
  fullReportBurst,
  fullReportsPerSecondMax,
  reportsPerSecondMax,
} from "../../../seeder/inventory/limits.ts";
import { ReportPacing } from "../../../seeder/inventory/pacing.ts";

/** A second in which so many reports came. */
const second = (pacing: ReportPacing, busy: number, reports: number) => {
  for (let report = 0; report < reports; report++) pacing.paceOf(10_000, false);
  pacing.observe(busy, reports, 0);
};

describe("the time to the next report", () => {
  test("is the node's own while the seeder has time, with a lease of three", () => {
    const pacing = new ReportPacing();
    expect(pacing.paceOf(10_000, false)).toEqual({ nextReportMs: 0, leaseMs: 30_000 });
    expect(pacing.paceOf(10_000, true)).toEqual({ nextReportMs: 0, leaseMs: 30_000 });
  });

  test("grows while reports keep the seeder busy, up to a bound, and shrinks again", () => {
    const pacing = new ReportPacing();
    for (let seconds = 0; seconds < 60; seconds++) second(pacing, 0.95, 1_000);
    expect(pacing.paceOf(10_000, false)).toEqual({ nextReportMs: 40_000, leaseMs: 120_000 });
    expect(pacing.paceOf(10_000, true)).toEqual({ nextReportMs: 8_000, leaseMs: 30_000 });
    for (let seconds = 0; seconds < 60; seconds++) second(pacing, 0.2, 1_000);
    expect(pacing.paceOf(10_000, false).nextReportMs).toBe(0);
  });

  test("does not grow when the seeder is busy with something else", () => {
    const pacing = new ReportPacing();
    for (let seconds = 0; seconds < 60; seconds++) second(pacing, 1, 100);
    expect(pacing.paceOf(10_000, false).nextReportMs).toBe(0);
  });

  test("is as many times the node's own as nodes would send more reports than are taken, up to a bound", () => {
    const pacing = new ReportPacing();
    pacing.observe(0.1, reportsPerSecondMax, 0);
    expect(pacing.paceOf(10_000, true)).toEqual({ nextReportMs: 0, leaseMs: 30_000 });
    pacing.observe(0.1, 3 * reportsPerSecondMax, 0);
    expect(pacing.paceOf(10_000, false)).toEqual({ nextReportMs: 30_000, leaseMs: 90_000 });
    expect(pacing.paceOf(10_000, true)).toEqual({ nextReportMs: 6_000, leaseMs: 30_000 });
    pacing.observe(0.1, 1_000 * reportsPerSecondMax, 0);
    expect(pacing.paceOf(10_000, false).nextReportMs).toBe(crowdStretchMax * 10_000);
  });
});

describe("full reports", () => {
  test("of few nodes are wanted at once, those of many one after the other", () => {
    const pacing = new ReportPacing();
    const waits = Array.from({ length: fullReportBurst + 3_000 }, (_, index) =>
      pacing.fullReportAfterMs(`n${index}`, 5_000),
    );
    expect(new Set(waits.slice(0, fullReportBurst))).toEqual(new Set([0]));
    const perSecond = new Map<number, number>();
    for (const waitMs of waits.slice(fullReportBurst + 1)) {
      perSecond.set(Math.ceil(waitMs / 1_000), (perSecond.get(Math.ceil(waitMs / 1_000)) ?? 0) + 1);
    }
    for (const [which, count] of perSecond) if (which < 3) expect(count).toBe(fullReportsPerSecondMax);
    expect(pacing.waiting).toBeGreaterThan(2_900);
  });

  test("a node that asks again meanwhile keeps its time, and gives it back with its full report", () => {
    const pacing = new ReportPacing();
    for (let index = 0; index < fullReportBurst + 500; index++) pacing.fullReportAfterMs(`n${index}`, 0);
    const waitMs = pacing.fullReportAfterMs("late", 0);
    expect(pacing.fullReportAfterMs("late", 100)).toBe(waitMs - 100);
    expect(pacing.fullReportAfterMs("late", waitMs + 50)).toBe(0);
    const { waiting } = pacing;
    pacing.fullReportCame("late");
    expect(pacing.waiting).toBe(waiting - 1);
  });

  test("come more slowly while the seeder is busy, and places that are not taken are forgotten", () => {
    const pacing = new ReportPacing();
    for (let seconds = 0; seconds < 60; seconds++) second(pacing, 0.95, 1_000);
    for (let index = 0; index < fullReportBurst; index++) pacing.fullReportAfterMs(`n${index}`, 0);
    const [one, other] = ["a", "b"].map((id) => pacing.fullReportAfterMs(id, 0)) as [number, number];
    expect(other - one).toBe((4 * 1_000) / fullReportsPerSecondMax);
    pacing.observe(0, 1, 600_000);
    expect(pacing.waiting).toBe(0);
  });
});
