import { describe, expect, test } from "vitest";
import { Bitfield } from "../../../swarm/bitfield.ts";
import { Dealer } from "../../../swarm/dealer.ts";
import { Picker } from "../../../swarm/picker.ts";

interface Taker {
  name: string;
  has: Bitfield;
}

const pieceCount = 12;
const takers = (count: number): Taker[] =>
  Array.from({ length: count }, (_, number) => ({ name: `taker ${number}`, has: new Bitfield(pieceCount) }));
const newDealer = () => new Dealer<Taker>(pieceCount, Math.random);

describe("what a complete node suggests", () => {
  test("each piece goes to one taker before any goes to two", () => {
    const dealer = newDealer();
    const dealt = takers(4).flatMap((taker) => dealer.deal(taker, taker.has, 3, 0));
    expect(dealt.toSorted((a, b) => a - b)).toEqual(Array.from({ length: pieceCount }, (_, index) => index));
  });

  test("a taker has as many ahead as it should, those that it has asked for apart", () => {
    const dealer = newDealer();
    const [taker] = takers(1) as [Taker];
    const [first] = dealer.deal(taker, taker.has, 2, 0) as [number, number];
    expect(dealer.deal(taker, taker.has, 2, 0)).toEqual([]);
    expect(dealer.asked(taker, first, 0)).toBe(true);
    expect(dealer.asked(taker, first, 0)).toBe(false);
    expect(dealer.deal(taker, taker.has, 2, 0)).toHaveLength(1);
  });

  test("nobody is suggested what it has, or has been suggested before", () => {
    const dealer = newDealer();
    const [taker] = takers(1) as [Taker];
    taker.has.add(5);
    dealer.addPiece(taker, 5);
    const dealt = dealer.deal(taker, taker.has, 100, 0);
    expect(new Set(dealt).size).toBe(pieceCount - 1);
    expect(dealt).not.toContain(5);
  });

  test("what a taker asks for unasked counts as dealt to it", () => {
    const dealer = newDealer();
    const [one, other] = takers(2) as [Taker, Taker];
    expect(dealer.asked(one, 7, 0)).toBe(true);
    expect(dealer.deal(other, other.has, pieceCount - 1, 0)).not.toContain(7);
  });

  test("what a taker leaves lying, or takes away with it, is dealt to others before anything that they can trade", () => {
    for (const leave of ["expire", "remove"]) {
      const dealer = newDealer();
      const [slow, quick, third] = takers(3) as [Taker, Taker, Taker];
      const [lying] = dealer.deal(slow, slow.has, 1, 0) as [number];
      for (const index of dealer.deal(quick, quick.has, pieceCount - 1, 0)) {
        quick.has.add(index);
        dealer.addPiece(quick, index);
      }
      if (leave === "expire") dealer.expire(60_000);
      else dealer.remove(slow, slow.has);
      expect(dealer.deal(third, third.has, 1, 60_000)).toEqual([lying]);
    }
  });
});

describe("a picker with wishes", () => {
  const picker = () =>
    new Picker({
      ...{ pieceCount, pieceBytes: () => 32 * 1024, have: new Bitfield(pieceCount), random: Math.random },
    });
  const piecesOf = (blocks: { index: number }[]) => [...new Set(blocks.map(({ index }) => index))];

  test("opens the pieces that the requester wishes first, in its order, and then others", () => {
    const picked = picker().pick({}, Bitfield.full(pieceCount), 6, () => true, false, {
      pieces: [9, 4],
      exclusively: false,
    });
    expect(piecesOf(picked).slice(0, 2)).toEqual([9, 4]);
    expect(piecesOf(picked)).toHaveLength(3);
  });

  test("opens nothing else where the wishes are exclusive", () => {
    const picked = picker().pick({}, Bitfield.full(pieceCount), 6, () => true, true, {
      pieces: [9, 4],
      exclusively: true,
    });
    expect(piecesOf(picked)).toEqual([9, 4]);
  });
});
