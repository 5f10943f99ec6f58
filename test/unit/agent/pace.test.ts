import { expect, test } from "vitest";
import { FetchPace, RatePace } from "../../../agent/fetch/pace.ts";
import { FetchQueue } from "../../../agent/fetch/queue.ts";

/** A clock that nobody waits by. */
class StandingClock {
  #nowMs = 0;

  now(): number {
    return this.#nowMs;
  }

  after(): () => void {
    return () => {};
  }

  advance(ms: number): void {
    this.#nowMs += ms;
  }
}

/** Bytes that are taken in so many seconds, by somebody who asks for blocks whenever there is room. */
function takenWithin(seconds: number, pace: RatePace, clock: StandingClock): number {
  let bytes = 0;
  for (let ms = 0; ms < seconds * 1_000; ms += 50) {
    clock.advance(50);
    while (pace.roomBytes() > 0 && bytes < 1e9) {
      pace.took(16_384);
      bytes += 16_384;
    }
  }
  return bytes;
}

test("a pace lets its rate through, and as much as is asked for without one", () => {
  const clock = new StandingClock();
  let rate = 1_000_000;
  const pace = new RatePace(clock, () => rate);
  const bytes = takenWithin(10, pace, clock);
  expect(bytes).toBeGreaterThan(9_500_000);
  expect(bytes).toBeLessThan(10_600_000);
  rate = 0;
  expect([pace.roomBytes(), pace.waitMs()]).toEqual([Number.POSITIVE_INFINITY, 0]);
});

test("a rate that falls holds from then on: what was not used before is not made up for", () => {
  const clock = new StandingClock();
  let rate = 100_000_000;
  const pace = new RatePace(clock, () => rate);
  clock.advance(60_000);
  pace.roomBytes();
  rate = 131_072;
  clock.advance(1_000);
  expect(takenWithin(10, pace, clock)).toBeLessThan(1_600_000);
});

test("the slowest of several paces counts, for as long as they bind", () => {
  const clock = new StandingClock();
  let isBound = true;
  const [slow, quick] = [1_000, 1_000_000].map((rate) => new RatePace(clock, () => rate)) as [RatePace, RatePace];
  const pace = new FetchPace([quick, slow], () => isBound);
  clock.advance(1_000);
  expect(pace.roomBytes()).toBe(500);
  pace.took(1_500);
  expect(pace.roomBytes()).toBe(0);
  expect(pace.waitMs()).toBeGreaterThan(900);
  isBound = false;
  expect([pace.roomBytes(), pace.waitMs()]).toEqual([Number.POSITIVE_INFINITY, 0]);
});

test("for each that waits and is asked for, one that is ahead of need gives its place: the last that began", () => {
  const queue = new FetchQueue(2);
  queue.add("p1", "prefetch");
  queue.add("p2", "prefetch");
  queue.takeNext();
  queue.takeNext();
  queue.add("p3", "prefetch");
  expect(queue.takeYielding(() => true)).toBeUndefined();
  queue.add("e1", "ensure");
  expect(queue.takeYielding((digest) => digest !== "p2")).toBe("p1");
  expect(queue.takeYielding(() => true)).toBeUndefined();
  queue.add("e2", "ensure");
  expect(queue.takeYielding(() => true)).toBe("p2");
  queue.remove("p1");
  queue.add("p1", "prefetch", true);
  expect(queue.waiting).toEqual(["e1", "e2", "p1", "p3"]);
  expect(queue.takeNext()).toBe("e1");
});

test("what somebody comes to ask for while it is fetched gives its place no more", () => {
  const queue = new FetchQueue(1);
  queue.add("p1", "prefetch");
  queue.takeNext();
  queue.raise("p1", "ensure");
  queue.add("e1", "ensure");
  expect(queue.takeYielding(() => true)).toBeUndefined();
});
