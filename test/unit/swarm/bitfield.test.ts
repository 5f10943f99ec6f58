import fc from "fast-check";
import { expect, test } from "vitest";
import { Bitfield } from "../../../swarm/bitfield.ts";

test("it holds the same as a set of numbers, and counts alike", () => {
  const changes = fc.array(fc.tuple(fc.boolean(), fc.nat({ max: 99 })));
  fc.assert(
    fc.property(changes, (steps) => {
      const field = new Bitfield(100);
      const model = new Set<number>();
      for (const [isAdd, index] of steps) {
        expect(isAdd ? field.add(index) : field.remove(index)).toBe(isAdd ? !model.has(index) : model.has(index));
        if (isAdd) model.add(index);
        else model.delete(index);
      }
      expect(field.count).toBe(model.size);
      for (let index = 0; index < 100; index++) expect(field.has(index)).toBe(model.has(index));
      expect(Bitfield.fromBytes(field.bytes, 100).count).toBe(model.size);
    }),
  );
});

test("piece 0 is the high bit of the first byte", () => {
  const field = new Bitfield(10);
  field.add(0);
  field.add(9);
  expect([...field.bytes]).toEqual([0x80, 0x40]);
});

test("a full field of any size has all indices and no spare bits", () => {
  for (let size = 1; size <= 17; size++) {
    const field = Bitfield.full(size);
    expect(field.isFull).toBe(true);
    expect(Bitfield.fromBytes(field.bytes, size).count).toBe(size);
  }
});

test("wrong lengths and spare bits are refused", () => {
  expect(() => Bitfield.fromBytes(Buffer.alloc(3), 10)).toThrow(/does not fit 10 pieces/);
  expect(() => Bitfield.fromBytes(Buffer.from([0, 0x20]), 10)).toThrow(/spare bits/);
});

test("changes are what one set has and the other lacks", () => {
  const indices = fc.uniqueArray(fc.nat({ max: 49 }));
  fc.assert(
    fc.property(indices, indices, (before, after) => {
      const [one, other] = [new Bitfield(50), new Bitfield(50)];
      for (const index of before) one.add(index);
      for (const index of after) other.add(index);
      const sorted = (list: number[]) => list.sort((a, b) => a - b);
      expect(one.changesTo(other)).toEqual({
        added: sorted(after.filter((index) => !before.includes(index))),
        removed: sorted(before.filter((index) => !after.includes(index))),
      });
    }),
  );
});
