import fc from "fast-check";
import { expect, test } from "vitest";
import type { FetchPriority } from "../../../agent/cache/records.ts";
import { FetchQueue, higherPriority } from "../../../agent/fetch/queue.ts";

const rank: Record<FetchPriority, number> = { demand: 0, ensure: 1, prefetch: 2 };
const priority = fc.constantFrom<FetchPriority>("demand", "ensure", "prefetch");

test("it starts by priority, and in order of asking within one", () => {
  const queue = new FetchQueue(1);
  queue.add("p1", "prefetch");
  queue.add("e1", "ensure");
  queue.add("d1", "demand");
  queue.add("e2", "ensure");
  queue.add("d2", "demand");
  expect(queue.waiting).toEqual(["d1", "d2", "e1", "e2", "p1"]);
  expect([queue.takeNext(), queue.takeNext()]).toEqual(["d1", "d2"]);
  expect(queue.takeNext()).toBeUndefined();
});

test("what a VM waits for does not wait for others to end, but there is a bound", () => {
  const queue = new FetchQueue(3);
  for (let count = 0; count < 10; count++) queue.add(`e${count}`, "ensure");
  for (let count = 0; count < 3; count++) queue.takeNext();
  queue.add("d", "demand");
  queue.raise("e5", "demand");
  expect([queue.takeNext(), queue.takeNext(), queue.takeNext()]).toEqual(["d", "e5", undefined]);
  for (let count = 0; count < 100; count++) queue.add(`d${count}`, "demand");
  while (queue.takeNext() !== undefined);
  expect(queue.activeCount).toBe(35);
});

test("asking again more urgently moves a fetch up, less urgently never down", () => {
  const queue = new FetchQueue(1);
  queue.add("a", "ensure");
  queue.add("b", "prefetch");
  queue.add("c", "demand");
  queue.raise("b", "demand");
  expect(queue.waiting).toEqual(["c", "b", "a"]);
  queue.raise("c", "prefetch");
  expect(queue.waiting).toEqual(["c", "b", "a"]);
  expect(higherPriority("prefetch", "ensure")).toBe("ensure");
});

type Step =
  | { kind: "add"; priority: FetchPriority }
  | { kind: "raise"; priority: FetchPriority; pick: number }
  | { kind: "take" }
  | { kind: "end"; pick: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant("add" as const), priority }),
  fc.record({ kind: fc.constant("raise" as const), priority, pick: fc.nat() }),
  fc.record({ kind: fc.constant("take" as const) }),
  fc.record({ kind: fc.constant("end" as const), pick: fc.nat() }),
);

test("never more active than allowed, nothing is lost, and nothing urgent waits behind less urgent", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }), fc.array(step, { maxLength: 200 }), (activeMax, steps) => {
      const queue = new FetchQueue(activeMax);
      const waiting = new Map<string, FetchPriority>();
      const active = new Set<string>();
      let made = 0;
      for (const each of steps) {
        if (each.kind === "add") {
          const digest = `image-${made++}`;
          queue.add(digest, each.priority);
          waiting.set(digest, each.priority);
        } else if (each.kind === "raise") {
          const digest = [...waiting.keys()][each.pick % Math.max(waiting.size, 1)];
          if (digest === undefined) continue;
          queue.raise(digest, each.priority);
          waiting.set(digest, higherPriority(waiting.get(digest) as FetchPriority, each.priority));
        } else if (each.kind === "take") {
          const mostUrgent = Math.min(...[...waiting.values()].map((one) => rank[one]));
          const digest = queue.takeNext();
          const most = activeMax + (mostUrgent === rank.demand ? 32 : 0);
          expect(digest === undefined).toBe(active.size >= most || waiting.size === 0);
          if (digest === undefined) continue;
          expect(rank[waiting.get(digest) as FetchPriority]).toBe(mostUrgent);
          waiting.delete(digest);
          active.add(digest);
        } else {
          const digest = [...waiting.keys(), ...active][each.pick % Math.max(waiting.size + active.size, 1)];
          if (digest === undefined) continue;
          queue.remove(digest);
          waiting.delete(digest);
          active.delete(digest);
        }
        expect(queue.activeCount).toBe(active.size);
        expect(active.size).toBeLessThanOrEqual(activeMax + 32);
        expect(new Set(queue.waiting)).toEqual(new Set(waiting.keys()));
        const ranks = queue.waiting.map((digest) => rank[waiting.get(digest) as FetchPriority]);
        expect(ranks).toEqual([...ranks].sort((a, b) => a - b));
      }
    }),
  );
});
