import { expect, test } from "vitest";
import { SharedTimers } from "../../../swarm/shared-timers.ts";

/** A clock that stands until it is told to go on, and counts its timers. */
function handClock() {
  let nowMs = 0;
  let timers: { dueAtMs: number; run: () => void }[] = [];
  const made = { timers: 0 };
  return {
    made,
    now: () => nowMs,
    after: (delayMs: number, run: () => void) => {
      made.timers++;
      const timer = { dueAtMs: nowMs + delayMs, run };
      timers.push(timer);
      return () => {
        timers = timers.filter((other) => other !== timer);
      };
    },
    goTo: (atMs: number) => {
      for (;;) {
        const [next] = timers.filter(({ dueAtMs }) => dueAtMs <= atMs).sort((a, b) => a.dueAtMs - b.dueAtMs);
        if (!next) break;
        timers = timers.filter((other) => other !== next);
        nowMs = next.dueAtMs;
        next.run();
      }
      nowMs = atMs;
    },
  };
}

test("what may wait runs once, after half of its delay at the least and all of it at the most", () => {
  const clock = handClock();
  const shared = new SharedTimers(clock);
  for (let startMs = 0.3; startMs < 400; startMs += 7.7) {
    for (const delayMs of [2, 5, 10, 16]) {
      clock.goTo(startMs * 1_000 + delayMs * 50);
      const askedAtMs = clock.now();
      const ranAfterMs: number[] = [];
      shared.within(delayMs, () => ranAfterMs.push(clock.now() - askedAtMs));
      clock.goTo(askedAtMs + 40);
      expect(ranAfterMs).toHaveLength(1);
      expect(ranAfterMs[0]).toBeGreaterThanOrEqual(delayMs / 2 - 1e-6);
      expect(ranAfterMs[0]).toBeLessThanOrEqual(delayMs);
    }
  }
});

test("what is due at about the same time has one timer", () => {
  const clock = handClock();
  const shared = new SharedTimers(clock);
  let ran = 0;
  for (let step = 0; step < 80; step++) {
    clock.goTo(step / 10);
    shared.within(16, () => ran++);
  }
  clock.goTo(50);
  expect(ran).toBe(80);
  expect(clock.made.timers).toBe(1);
});

test("what asks anew from within its turn gets a later one", () => {
  const clock = handClock();
  const shared = new SharedTimers(clock);
  const ranAtMs: number[] = [];
  const again = (): void => {
    ranAtMs.push(clock.now());
    if (ranAtMs.length < 3) shared.within(8, again);
  };
  shared.within(8, again);
  clock.goTo(100);
  expect(ranAtMs).toEqual([8, 16, 24]);
});
