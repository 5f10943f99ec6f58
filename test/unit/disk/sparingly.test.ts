import { expect, test } from "vitest";
import { Sparingly } from "../../../agent/disk/sparingly.ts";

test("what happens often is told at first, and then now and then with how often it was", () => {
  const sparingly = new Sparingly();
  const told = Array.from({ length: 25_000 }, (_, nowMs) => sparingly.note(nowMs)).filter(
    (count) => count !== undefined,
  );
  expect(told).toEqual([1, 10_000, 10_000]);
});
