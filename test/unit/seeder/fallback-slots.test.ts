import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ByteRate } from "../../../seeder/origin/byte-rate.ts";
import { FallbackSlots } from "../../../seeder/origin/fallback-slots.ts";

/** A small linear congruential generator. */
function generatorOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32;
    return state / 2 ** 32;
  };
}

interface Crowd {
  seed: number;
  slots: number;
  nodes: number;
  /** Responses that each node wants, one after the other. */
  wanted: number;
  /** What a response takes: from half of it to one and a half. */
  responseMs: number;
  /** Requests that a node has under way at once. */
  atOnce: number;
}

/** Nodes that all begin at once and do as they are told. Checks the bounds at each step. */
function runCrowd({ seed, slots: slotCount, nodes, wanted, responseMs, atOnce }: Crowd) {
  const random = generatorOf(seed);
  const slots = new FallbackSlots(slotCount, random);
  const events: { atMs: number; run: (nowMs: number) => void }[] = [];
  const at = (atMs: number, run: (nowMs: number) => void) => events.push({ atMs, run });
  const served = new Map<string, number>();
  const asksPerSecond = new Map<number, number>();
  let leastWhenFirstIsDone = -1;
  const ask = (node: string, nowMs: number) => {
    if ((served.get(node) ?? 0) >= wanted) return;
    const second = Math.floor(nowMs / 1_000);
    if (nowMs > 0) asksPerSecond.set(second, (asksPerSecond.get(second) ?? 0) + 1);
    const others = slots.waiting;
    const answer = slots.ask(node, nowMs);
    expect(slots.inUse).toBeLessThanOrEqual(slotCount);
    if (!answer.granted) {
      expect(answer.retryAfterMs).toBeGreaterThan(0);
      at(nowMs + answer.retryAfterMs * (1 + random() / 10), (thenMs) => ask(node, thenMs));
      return;
    }
    if (others > 1) expect(slots.heldBy(node)).toBeLessThanOrEqual(Math.max(1, slots.share(node)));
    const heldMs = responseMs * (0.5 + random());
    at(nowMs + heldMs, (thenMs) => {
      slots.release(node, heldMs);
      served.set(node, (served.get(node) ?? 0) + 1);
      const isFirst = leastWhenFirstIsDone < 0 && served.get(node) === wanted;
      if (isFirst) leastWhenFirstIsDone = served.size < nodes ? 0 : Math.min(...served.values());
      ask(node, thenMs);
    });
  };
  for (let node = 0; node < nodes; node++) {
    for (let count = 0; count < atOnce; count++) at(0, (nowMs) => ask(`node ${node}`, nowMs));
  }
  let nowMs = 0;
  let steps = 0;
  while (events.length > 0 && steps++ < 200_000) {
    const next = events.reduce((best, each, index) => (each.atMs < (events[best]?.atMs ?? 0) ? index : best), 0);
    const [event] = events.splice(next, 1);
    nowMs = event!.atMs;
    event!.run(nowMs);
  }
  return { slots, served, nowMs, leastWhenFirstIsDone, asksPerSecondMax: Math.max(0, ...asksPerSecond.values()) };
}

const crowd = fc.record({
  seed: fc.nat(),
  slots: fc.integer({ min: 1, max: 20 }),
  nodes: fc.integer({ min: 1, max: 30 }),
  wanted: fc.integer({ min: 1, max: 8 }),
  responseMs: fc.integer({ min: 5, max: 3_000 }),
  atOnce: fc.integer({ min: 1, max: 3 }),
});

test("whoever does as told is served in the end, within the slots and the shares, and every slot is given back", () => {
  fc.assert(
    fc.property(crowd, (options) => {
      const { slots, served } = runCrowd(options);
      expect(slots.inUse).toBe(0);
      expect(served.size).toBe(options.nodes);
      for (const count of served.values()) expect(count).toBeGreaterThanOrEqual(options.wanted);
    }),
    { numRuns: 60 },
  );
});

test("while some wait, nobody is served all it wants before the others have had their part", () => {
  const options = { slots: 4, nodes: 24, wanted: 40, responseMs: 200, atOnce: 2 };
  for (const seed of [1, 2, 3]) {
    const { leastWhenFirstIsDone, nowMs } = runCrowd({ ...options, seed });
    expect(leastWhenFirstIsDone).toBeGreaterThan(options.wanted / 3);
    // Keeping slots for those who wait costs some of their time, but not most of it.
    const leastMs = (options.nodes * options.wanted * options.responseMs) / options.slots;
    expect(nowMs).toBeLessThan(2 * leastMs);
  }
});

describe("a slot", () => {
  test("is there for a node alone as often as it wants", () => {
    const slots = new FallbackSlots(3, () => 0.5);
    for (let count = 0; count < 3; count++) expect(slots.ask("ann", 0)).toEqual({ granted: true });
    expect(slots.ask("ann", 0).granted).toBe(false);
    slots.release("ann", 10);
    expect(slots.ask("ann", 0).granted).toBe(true);
  });

  test("that is free goes to the first in line that does not hold its share", () => {
    const slots = new FallbackSlots(2, () => 0.5);
    slots.ask("ann", 0);
    slots.ask("cyd", 0);
    slots.ask("ann", 0);
    slots.ask("bob", 0);
    expect(slots.grantOneOf(["ann", "bob"])).toBeUndefined();
    slots.release("cyd", 10);
    expect(slots.grantOneOf(["ann", "bob"])).toBe(1);
    slots.release("bob", 10);
    expect([slots.grantOneOf([]), slots.grantOneOf(["ann"])]).toEqual([undefined, 0]);
  });

  test("that is given back is kept for who was told to come, not for who was just served", () => {
    const slots = new FallbackSlots(1, () => 0.5);
    slots.ask("ann", 0);
    const answer = slots.ask("bob", 0);
    const dueAtMs = answer.granted ? 0 : answer.retryAfterMs;
    slots.release("ann", dueAtMs);
    expect(slots.ask("ann", dueAtMs).granted).toBe(false);
    expect(slots.ask("bob", dueAtMs + 1).granted).toBe(true);
  });

  test("is not kept for long for who does not come", () => {
    const slots = new FallbackSlots(1, () => 0.5);
    slots.ask("ann", 0);
    const answer = slots.ask("bob", 0);
    slots.release("ann", 10);
    const dueAtMs = answer.granted ? 0 : answer.retryAfterMs;
    expect(slots.ask("ann", dueAtMs + 2_000).granted).toBe(true);
    expect(slots.waiting).toBe(1);
    slots.ask("cyd", dueAtMs + 100_000);
    expect(slots.waiting).toBe(1);
  });

  test("asked for again before the time keeps its place and the time", () => {
    const slots = new FallbackSlots(1, () => 0.5);
    slots.ask("ann", 0);
    const first = slots.ask("bob", 0);
    const again = slots.ask("bob", 100);
    if (first.granted || again.granted) throw new Error("both have to wait");
    expect(again.retryAfterMs).toBeCloseTo(first.retryAfterMs - 100);
    expect(slots.waiting).toBe(1);
  });
});

test("ten thousand nodes refused in one instant are not told to come back in one second", () => {
  const slots = new FallbackSlots(16, generatorOf(1));
  const seconds = new Map<number, number>();
  for (let node = 0; node < 10_100; node++) {
    const answer = slots.ask(`node ${node}`, 0);
    if (answer.granted) continue;
    const second = Math.floor(answer.retryAfterMs / 1_000);
    seconds.set(second, (seconds.get(second) ?? 0) + 1);
  }
  // As many as there are turns: sixteen slots, half a second each.
  expect(Math.max(...seconds.values())).toBeLessThanOrEqual(40);
  expect(slots.waiting).toBe(10_000);
});

test("no more than the rate is let through in any stretch of time, whoever asks and when", () => {
  const parts = fc.array(fc.record({ bytes: fc.integer({ min: 1, max: 100_000 }), pauseMs: fc.nat(500) }), {
    minLength: 1,
    maxLength: 60,
  });
  fc.assert(
    fc.property(fc.integer({ min: 1_000, max: 10_000_000 }), parts, (bytesPerSecond, asked) => {
      const rate = new ByteRate(bytesPerSecond);
      const sent: { atMs: number; bytes: number }[] = [];
      let nowMs = 0;
      for (const { bytes, pauseMs } of asked) {
        nowMs += pauseMs;
        sent.push({ atMs: nowMs + rate.reserve(bytes, nowMs), bytes });
      }
      for (let from = 0; from < sent.length; from++) {
        let bytes = 0;
        for (let to = from; to < sent.length; to++) {
          bytes += sent[to]!.bytes;
          const allowed = (bytesPerSecond * (sent[to]!.atMs - sent[from]!.atMs + 100)) / 1_000 + sent[from]!.bytes;
          expect(bytes).toBeLessThanOrEqual(allowed + 1);
        }
      }
    }),
  );
});

test("a rate of 0 is no limit", () => {
  const rate = new ByteRate(0);
  expect([rate.reserve(1e12, 0), rate.reserve(1e12, 0)]).toEqual([0, 0]);
});
