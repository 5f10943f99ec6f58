import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Bitfield } from "../../../swarm/bitfield.ts";
import { blockBytes } from "../../../swarm/limits.ts";
import { Picker } from "../../../swarm/picker.ts";

const blocksPerPiece = 4;
const always = () => true;

function setUp(pieceCount: number, random: () => number = () => 0.5) {
  const have = new Bitfield(pieceCount);
  const pieceBytes = () => blocksPerPiece * blockBytes;
  return { have, picker: new Picker<{ name: string }>({ pieceCount, pieceBytes, have, random }) };
}

function fieldOf(size: number, ...indices: number[]): Bitfield {
  const field = new Bitfield(size);
  for (const index of indices) field.add(index);
  return field;
}

/** A small linear congruential generator. */
function generatorOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32;
    return state / 2 ** 32;
  };
}

const [ann, bob, cyd] = [{ name: "ann" }, { name: "bob" }, { name: "cyd" }];

describe("which piece", () => {
  test("the one that the fewest peers have", () => {
    const { picker } = setUp(4);
    for (const index of [0, 1, 2, 3, 0, 1, 3]) picker.addPiece(index);
    expect(picker.pick(ann, Bitfield.full(4), 1, always, true)).toMatchObject([{ index: 2, begin: 0 }]);
  });

  test("ties fall differently with the randomness", () => {
    const picks = [1, 2, 3, 4, 5].map((seed) => {
      const { picker } = setUp(100, generatorOf(seed));
      return picker.pick(ann, Bitfield.full(100), 1, always, true)[0]?.index;
    });
    expect(new Set(picks).size).toBeGreaterThan(1);
  });

  test("only pieces that the peer has and we lack", () => {
    const { picker } = setUp(4);
    const blocks = picker.pick(ann, fieldOf(4, 1), 100, always, true);
    expect(new Set(blocks.map(({ index }) => index))).toEqual(new Set([1]));
  });

  test("a piece begun is ended before another is opened", () => {
    const { picker } = setUp(4);
    const first = picker.pick(ann, Bitfield.full(4), 2, always, true);
    const second = picker.pick(ann, Bitfield.full(4), 2, always, true);
    expect(new Set([...first, ...second].map(({ index }) => index)).size).toBe(1);
  });

  test("two peers open different pieces while there are pieces to open", () => {
    const { picker } = setUp(4);
    const [one] = picker.pick(ann, Bitfield.full(4), 1, always, true);
    const [other] = picker.pick(bob, Bitfield.full(4), 1, always, true);
    expect(one?.index).not.toBe(other?.index);
  });

  test("when no piece may be opened, a peer helps with those that are", () => {
    const { picker } = setUp(4);
    const [one] = picker.pick(ann, Bitfield.full(4), 1, always, true);
    const helped = picker.pick(bob, Bitfield.full(4), 10, () => false, true);
    expect(helped.map(({ index }) => index)).toEqual([one?.index, one?.index, one?.index]);
  });
});

describe("which block", () => {
  test("none is asked of two before the endgame", () => {
    const { picker } = setUp(2);
    picker.pick(ann, fieldOf(2, 0), 100, always, true);
    expect(picker.pick(bob, fieldOf(2, 0), 100, always, true)).toEqual([]);
  });

  test("in the endgame a block is asked of at most three, never twice of one", () => {
    const { picker } = setUp(1);
    const all = Bitfield.full(1);
    for (const peer of [ann, bob, cyd]) expect(picker.pick(peer, all, 100, always, true)).toHaveLength(blocksPerPiece);
    expect(picker.pick(ann, all, 100, always, true)).toEqual([]);
    expect(picker.pick({ name: "dan" }, all, 100, always, true)).toEqual([]);
  });

  test("the endgame waits until few blocks are to come", () => {
    const { have, picker } = setUp(10);
    const all = Bitfield.full(10);
    const blocks = picker.pick(ann, all, 100, always, true);
    expect(blocks).toHaveLength(10 * blocksPerPiece);
    for (const { index, begin } of blocks.slice(0, 6 * blocksPerPiece)) {
      expect(picker.pick(bob, all, 100, always, true)).toEqual([]);
      if (picker.receive(ann, index, begin).authors) {
        have.add(index);
        picker.finish(index);
      }
    }
    expect(picker.pick(bob, all, 100, always, true)).toHaveLength(4);
  });

  test("a peer that has other blocks to send gets none of the endgame", () => {
    const { picker } = setUp(1);
    picker.pick(ann, Bitfield.full(1), 100, always, true);
    expect(picker.pick(bob, Bitfield.full(1), 100, always, false)).toEqual([]);
  });

  test("when one of them delivers, the others are named, to be told", () => {
    const { picker } = setUp(1);
    picker.pick(ann, Bitfield.full(1), 100, always, true);
    picker.pick(bob, Bitfield.full(1), 100, always, true);
    expect(picker.receive(bob, 0, 0)).toEqual({ others: [ann], authors: undefined });
    expect(picker.isWanted(ann, 0, 0)).toBe(false);
  });

  test("a released block goes to the next who asks", () => {
    const { picker } = setUp(1);
    picker.pick(ann, Bitfield.full(1), 100, always, true);
    picker.release(ann, 0, blockBytes);
    expect(picker.pick(bob, Bitfield.full(1), 1, always, true)).toMatchObject([{ index: 0, begin: blockBytes }]);
  });

  test("the last block names everyone who sent a part", () => {
    const { picker } = setUp(1);
    picker.pick(ann, Bitfield.full(1), 2, always, true);
    picker.pick(bob, Bitfield.full(1), 2, always, true);
    picker.receive(ann, 0, 0);
    picker.receive(ann, 0, blockBytes);
    picker.receive(bob, 0, 2 * blockBytes);
    expect(picker.receive(bob, 0, 3 * blockBytes).authors).toEqual([ann, ann, bob, bob]);
  });

  test("a piece that failed is fetched anew", () => {
    const { picker } = setUp(1);
    for (const { begin } of picker.pick(ann, Bitfield.full(1), 100, always, true)) picker.receive(ann, 0, begin);
    picker.reset(0, false);
    expect(picker.pick(bob, Bitfield.full(1), 100, always, true)).toHaveLength(blocksPerPiece);
  });
});

test("whatever peers do, every piece ends, and no block is received twice", () => {
  const peers = [ann, bob, cyd];
  // Per step: which peer, and whether it delivers, gives up, or sends a piece that fails.
  const step = fc.tuple(fc.nat({ max: 2 }), fc.constantFrom("deliver", "deliver", "deliver", "release", "fail"));
  fc.assert(
    fc.property(
      fc.array(step, { minLength: 50, maxLength: 300 }),
      fc.infiniteStream(fc.double({ min: 0, max: 0.999, noNaN: true })),
      (steps, randoms) => {
        const { have, picker } = setUp(5, () => randoms.next().value as number);
        const inFlight = peers.map(() => [] as { index: number; begin: number }[]);
        const run = (at: number, action: string) => {
          const peer = peers[at] as { name: string };
          const asked = inFlight[at] as { index: number; begin: number }[];
          asked.push(...picker.pick(peer, Bitfield.full(5), 3 - asked.length, always, true));
          const block = asked.shift();
          if (!block) return;
          const unwanted = !picker.isWanted(peer, block.index, block.begin);
          if (action === "release" || unwanted) return picker.release(peer, block.index, block.begin);
          const { others, authors } = picker.receive(peer, block.index, block.begin);
          for (const other of others) {
            const theirs = inFlight[peers.indexOf(other)] as { index: number; begin: number }[];
            const place = theirs.findIndex(({ index, begin }) => index === block.index && begin === block.begin);
            expect(place).toBeGreaterThanOrEqual(0);
            theirs.splice(place, 1);
          }
          if (!authors) return;
          if (action === "fail") return picker.reset(block.index, new Set(authors).size > 1);
          expect(have.add(block.index)).toBe(true);
          picker.finish(block.index);
        };
        for (const [at, action] of steps) run(at, action);
        for (let round = 0; round < 100 && !have.isFull; round++) for (const at of [0, 1, 2]) run(at, "deliver");
        expect(have.isFull).toBe(true);
        expect(picker.assemblies).toBe(0);
      },
    ),
    { numRuns: 200 },
  );
});

describe("a piece that failed with several authors", () => {
  function failed() {
    const { have, picker } = setUp(1);
    const all = Bitfield.full(1);
    picker.pick(ann, all, 2, always, true);
    picker.pick(bob, all, 2, always, true);
    for (const at of [0, 1]) picker.receive(ann, 0, at * blockBytes);
    for (const at of [2, 3]) picker.receive(bob, 0, at * blockBytes);
    picker.reset(0, true);
    return { have, picker, all };
  }

  test("is fetched from one alone the next time", () => {
    const { picker, all } = failed();
    picker.pick(ann, all, 2, always, true);
    expect(picker.pick(bob, all, 4, always, true)).toEqual([]);
    expect(picker.isWanted(bob, 0, 0)).toBe(false);
    expect(picker.pick(ann, all, 4, always, true)).toHaveLength(2);
  });

  test("begins anew with the next when that one gives up", () => {
    const { picker, all } = failed();
    picker.pick(ann, all, 4, always, true);
    picker.receive(ann, 0, 0);
    picker.forget(ann);
    const blocks = picker.pick(bob, all, 4, always, true);
    expect(blocks).toHaveLength(blocksPerPiece);
    expect(blocks.map(({ begin }) => picker.receive(bob, 0, begin).authors).at(-1)).toEqual([bob, bob, bob, bob]);
  });
});

test("who is gone is asked for nothing any more, whatever was asked of it", () => {
  const { picker } = setUp(1);
  for (const peer of [ann, bob, cyd]) picker.pick(peer, Bitfield.full(1), 100, always, true);
  for (const peer of [ann, bob, cyd]) picker.forget(peer);
  expect(picker.pick({ name: "dan" }, Bitfield.full(1), 100, always, true)).toHaveLength(blocksPerPiece);
});

test("a whole piece from one requester settles every block of it", () => {
  const { picker } = setUp(1);
  picker.pick(ann, Bitfield.full(1), 100, always, true);
  picker.receive(ann, 0, 0);
  const settled = picker.receiveWhole(bob, 0);
  expect(settled?.map(({ others }) => others)).toEqual([[], [ann], [ann], [ann]]);
  expect(picker.receiveWhole(bob, 0)).toBeUndefined();
  expect(picker.isWanted(ann, 0, blockBytes)).toBe(false);
});

test("a source is given whole pieces, and in the endgame those that others are slow to send, each once", () => {
  const { picker } = setUp(3);
  const blocks = picker.pick(ann, Bitfield.full(3), blocksPerPiece, always, true);
  const opened = [picker.pickPiece(bob, always), picker.pickPiece(bob, always)];
  expect(opened).not.toContain(blocks[0]?.index);
  expect([picker.pickPiece(bob, always), picker.pickPiece(bob, always)]).toEqual([blocks[0]?.index, undefined]);
});
