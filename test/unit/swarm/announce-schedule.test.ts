import { expect, test } from "vitest";
import { AnnounceSchedule } from "../../../swarm/announce-schedule.ts";

const secondMs = 1_000;

test("while pieces are missing it is due again and again, less and less often", () => {
  const schedule = new AnnounceSchedule(() => 0.5);
  let nowMs = 0;
  const dueAtMs: number[] = [];
  for (; nowMs < 20 * secondMs; nowMs += 250) {
    if (!schedule.isDue(nowMs)) continue;
    dueAtMs.push(nowMs);
    schedule.announced(nowMs, false);
  }
  expect(dueAtMs).toEqual([0, 250, 750, 1_750, 3_750, 7_750, 15_750]);
});

test("one that nothing is missing for waits long, but not if its announcement reached nobody", () => {
  const schedule = new AnnounceSchedule(() => 0.5);
  schedule.announced(0, true);
  expect(schedule.isDue(60 * secondMs)).toBe(false);
  schedule.failed(2 * secondMs);
  expect(schedule.isDue(2 * secondMs)).toBe(false);
  expect(schedule.isDue(3 * secondMs)).toBe(true);
});

test("a failure does not delay what was due before", () => {
  const schedule = new AnnounceSchedule(() => 0.5);
  schedule.hasten();
  schedule.failed(0);
  expect(schedule.isDue(0)).toBe(true);
});
