import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Bitfield } from "../../../swarm/bitfield.ts";
import { Hedges, type Helper } from "../../../swarm/hedge.ts";
import {
  blockBytes,
  hedgeBlocksMax,
  hedgedBlocksMin,
  hedgedShareMax,
  hedgeRequestersMax,
  pieceDeadlineMsFirst,
  pieceDeadlineMsMax,
  pieceDeadlineMsMin,
} from "../../../swarm/limits.ts";
import { Picker } from "../../../swarm/picker.ts";

const pieceCount = 8;

function helper(name: string, over: Partial<Helper<string>> = {}): Helper<string> {
  const has = Bitfield.full(pieceCount);
  return { requester: name, has, queuedBlocks: 0, roomBlocks: 8, answerMs: 1, ...over };
}

/** Gives as many blocks as are asked for, and notes of how many requesters. */
function takeAll(requesters: number[] = []) {
  return (_name: string, index: number, count: number, requestersMax: number) => {
    requesters.push(requestersMax);
    return Array.from({ length: count }, (_, at) => ({ index, begin: at * blockBytes, length: blockBytes }));
  };
}

/** Hedges of a torrent whose pieces took so long. */
function usual(pieceMs: number): Hedges {
  const hedges = new Hedges();
  for (let index = 0; index < pieceCount; index++) {
    hedges.begin(index, 0);
    hedges.done(index, pieceMs);
  }
  return hedges;
}

describe("the deadline", () => {
  test("follows what pieces usually take, within bounds", () => {
    expect(new Hedges().deadlineMs).toBe(pieceDeadlineMsFirst);
    expect(usual(500).deadlineMs).toBe(1_500);
    expect(usual(1).deadlineMs).toBe(pieceDeadlineMsMin);
    const slow = new Hedges();
    for (let at = 0; at < 1_000; at++) {
      slow.begin(0, 0);
      slow.done(0, 1_000_000);
    }
    expect(slow.deadlineMs).toBe(pieceDeadlineMsMax);
  });

  test("is not moved by a few pieces that are late", () => {
    const hedges = usual(500);
    hedges.begin(0, 0);
    hedges.done(0, 60_000);
    expect(hedges.deadlineMs).toBe(1_500);
  });

  test("is of no account for a piece that is whole or was dropped", () => {
    const hedges = usual(500);
    hedges.begin(0, 0);
    expect(hedges.isLate(1_499)).toBe(false);
    expect(hedges.isLate(1_500)).toBe(true);
    hedges.drop(0);
    expect(hedges.isLate(1_500)).toBe(false);
  });
});

describe("who is asked too", () => {
  test("nobody before the deadline, then the shortest queue, then who answers sooner", () => {
    const helpers = [
      helper("busy", { queuedBlocks: 3 }),
      helper("idle", { answerMs: 9 }),
      helper("quick", { answerMs: 2 }),
    ];
    const hedges = usual(500);
    hedges.begin(0, 0);
    expect(hedges.choose(1_499, helpers, takeAll())).toEqual([]);
    expect(hedges.choose(1_500, helpers, takeAll()).map(({ requester }) => requester)).toEqual([
      "quick",
      "idle",
      "busy",
    ]);
  });

  test("nobody who is as slow, has no room or not the piece", () => {
    const hedges = usual(500);
    hedges.begin(0, 0);
    const helpers = [
      helper("slow", { answerMs: 1_500 }),
      helper("full", { roomBlocks: 0 }),
      helper("without", { has: new Bitfield(pieceCount) }),
    ];
    expect(hedges.choose(1_500, helpers, takeAll())).toEqual([]);
  });

  test("one more with each deadline that passes, up to a bound", () => {
    const hedges = usual(500);
    hedges.begin(0, 0);
    const requesters: number[] = [];
    for (const nowMs of [1_500, 3_000, 4_500, 60_000]) hedges.choose(nowMs, [helper("ann")], takeAll(requesters));
    expect(requesters).toEqual([2, 3, 4, hedgeRequestersMax]);
  });

  test("the latest piece comes first", () => {
    const hedges = usual(500);
    for (const [index, atMs] of [
      [5, 0],
      [2, 100],
      [3, 5_000],
    ] as const)
      hedges.begin(index, atMs);
    const asked = hedges.choose(5_000, [helper("ann")], takeAll()).map(({ blocks }) => blocks[0]?.index);
    expect(asked).toEqual([5, 2]);
  });
});

test("whatever happens, hedged blocks stay within their bounds", () => {
  const step = fc.record({
    begin: fc.nat(pieceCount - 1),
    received: fc.nat(200),
    waitMs: fc.nat(3_000),
    helpers: fc.array(fc.record({ queuedBlocks: fc.nat(20), roomBlocks: fc.nat(20), answerMs: fc.nat(5_000) }), {
      maxLength: 5,
    }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const hedges = new Hedges();
      let nowMs = 0;
      let received = 0;
      let hedged = 0;
      for (const { begin, received: more, waitMs, helpers } of steps) {
        hedges.begin(begin, nowMs);
        for (let count = 0; count < more; count++) hedges.countReceived();
        received += more;
        nowMs += waitMs;
        const named = helpers.map((each, at) => helper(`peer ${at}`, each));
        const room = new Map(named.map(({ requester, roomBlocks }) => [requester, roomBlocks]));
        for (const { requester, blocks } of hedges.choose(nowMs, named, takeAll())) {
          expect(blocks.length).toBeLessThanOrEqual(hedgeBlocksMax);
          room.set(requester, (room.get(requester) as number) - blocks.length);
          hedged += blocks.length;
        }
        for (const left of room.values()) expect(left).toBeGreaterThanOrEqual(0);
        expect(hedged).toBe(hedges.hedgedBlocks);
        expect(hedged).toBeLessThanOrEqual(hedgedBlocksMin + received * hedgedShareMax);
      }
    }),
  );
});

test("the picker gives a late piece's blocks to one more requester, but not to the same twice", () => {
  const have = new Bitfield(1);
  const pieceBytes = () => 4 * blockBytes;
  const picker = new Picker<{ name: string }>({ pieceCount: 1, pieceBytes, have, random: () => 0.5 });
  const [ann, bob, cyd] = [{ name: "ann" }, { name: "bob" }, { name: "cyd" }];
  picker.pick(ann, Bitfield.full(1), 3, () => true, true);
  expect(picker.hedge(bob, 0, 2, 2).map(({ begin }) => begin)).toEqual([0, blockBytes]);
  expect(picker.hedge(bob, 0, 9, 2).map(({ begin }) => begin)).toEqual([2 * blockBytes]);
  expect(picker.hedge(cyd, 0, 9, 2)).toEqual([]);
  expect(picker.hedge(cyd, 0, 9, 3)).toHaveLength(3);
  // What nobody is asked for is given out in the ordinary way.
  expect(picker.pick(cyd, Bitfield.full(1), 9, () => true, false).map(({ begin }) => begin)).toEqual([3 * blockBytes]);
});
