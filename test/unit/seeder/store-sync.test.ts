import { describe, expect, test } from "vitest";
import { StoreClock } from "../../../seeder/inventory/store-clock.ts";
import { Unsaved, type UnsavedHoldings } from "../../../seeder/inventory/unsaved.ts";

describe("the store's clock", () => {
  test("is known as well as the quickest look at it", () => {
    const clock = new StoreClock();
    clock.looked(1_000, 6_100, 1_200);
    expect(clock.toStore(2_000)).toBe(7_000);
    clock.looked(2_000, 7_002, 2_002);
    expect(clock.toStore(3_000)).toBe(8_001);
    // A slow one says less than was known.
    clock.looked(3_000, 8_070, 3_100);
    expect(clock.toStore(3_000)).toBe(8_001);
    expect(clock.fromStore(8_001)).toBe(3_000);
  });

  test("is followed when it, or this machine's, is set", () => {
    const clock = new StoreClock();
    for (let n = 0; n < 40; n++) clock.looked(n * 1_000, n * 1_000 + 1, n * 1_000 + 2);
    clock.looked(50_000, 20_010, 50_020);
    expect(clock.toStore(50_000)).toBe(20_000);
  });

  test("is this machine's where nobody has looked", () => {
    expect(new StoreClock().toStore(1_234)).toBe(1_234);
  });
});

describe("what is unsaved", () => {
  const taken = (unsaved: Unsaved, max = 10) => {
    const nodes: [string, UnsavedHoldings][] = [];
    unsaved.takeNodes((id, holdings) => {
      if (nodes.length >= max) return false;
      nodes.push([id, holdings]);
      return true;
    });
    return nodes;
  };

  test("is gathered node by node, and taken once, oldest first", () => {
    const unsaved = new Unsaved();
    unsaved.changed("n1", ["a"]);
    unsaved.changed("n2", []);
    unsaved.changed("n1", ["b", "a"]);
    expect(taken(unsaved, 1)).toEqual([["n1", new Set(["a", "b"])]]);
    unsaved.changed("n1", ["c"]);
    expect(taken(unsaved)).toEqual([
      ["n2", new Set()],
      ["n1", new Set(["c"])],
    ]);
    expect(unsaved.isEmpty).toBe(true);
  });

  test("is all that a node holds once that was said, or so much has changed", () => {
    const unsaved = new Unsaved();
    unsaved.changed("n1", "all");
    unsaved.changed("n1", ["a"]);
    unsaved.changed(
      "n2",
      Array.from({ length: 1_001 }, (_, n) => `${n}`),
    );
    expect(taken(unsaved)).toEqual([
      ["n1", "all"],
      ["n2", "all"],
    ]);
  });

  test("is the removal of a node that was forgotten, and what it reports afterwards", () => {
    const unsaved = new Unsaved();
    unsaved.changed("n1", ["a"]);
    unsaved.removed("n1", 5);
    unsaved.changed("n1", "all");
    expect(unsaved.takeRemoved()).toEqual([{ id: "n1", reportedAtMs: 5 }]);
    expect(taken(unsaved)).toEqual([["n1", "all"]]);
  });
});
