import { expect, test } from "vitest";
import { AnnounceSchedule } from "../../../swarm/announce-schedule.ts";

const secondMs = 1_000;

test("while pieces are missing it is due again and again, less and less often", () => {
  const schedule = new AnnounceSchedule(() => 0.5);
  let nowMs = 0;
  const dueAtMs: number[] = [];
  for (; nowMs < 20 * secondMs; nowMs += 250) {
    if (!schedule.isDue(nowMs, false)) continue;
    dueAtMs.push(nowMs);
    schedule.announced(nowMs, false);
  }
  expect(dueAtMs).toEqual([0, 250, 750, 1_750, 3_750, 7_750, 15_750]);
});

test("one that nothing is missing for waits long, but not if its announcement reached nobody", () => {
  const schedule = new AnnounceSchedule(() => 0.5);
  schedule.announced(0, true);
  expect(schedule.isDue(60 * secondMs, true)).toBe(false);
  schedule.failed();
  expect([schedule.isDue(249, true), schedule.isDue(250, true)]).toEqual([false, true]);
});

test("what reaches nobody again and again is announced less and less often", () => {
  const schedule = new AnnounceSchedule(() => 0.5);
  let count = 0;
  for (let nowMs = 0; nowMs < 600 * secondMs; nowMs += 250) {
    if (!schedule.isDue(nowMs, true)) continue;
    count++;
    schedule.announced(nowMs, true);
    schedule.failed();
  }
  expect(count).toBeLessThan(30);
});

test("peers that get lost are looked for at once, not when the long wait ends", () => {
  const schedule = new AnnounceSchedule(() => 0.5);
  schedule.announced(0, true);
  expect(schedule.isDue(60 * secondMs, true)).toBe(false);
  expect(schedule.isDue(60 * secondMs, false)).toBe(true);
});

test("a failure does not delay what was due before", () => {
  const schedule = new AnnounceSchedule(() => 0.5);
  schedule.hasten();
  schedule.failed();
  expect(schedule.isDue(0, true)).toBe(true);
});
