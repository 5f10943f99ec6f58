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

/** Deals so many pieces to a taker, or all that it can be dealt. */
function deal(dealer: Dealer<Taker>, taker: Taker, count: number, nowMs = 0): number[] {
  const dealt: number[] = [];
  while (dealt.length < count) {
    const index = dealer.deal(taker, taker.has, nowMs);
    if (index === undefined) break;
    dealt.push(index);
  }
  return dealt;
}

describe("which piece a complete node suggests to whom", () => {
  test("each goes to one taker before any goes to two", () => {
    const dealer = newDealer();
    const dealt = takers(4).flatMap((taker) => deal(dealer, taker, 3));
    expect(dealt.toSorted((a, b) => a - b)).toEqual(Array.from({ length: pieceCount }, (_, index) => index));
  });

  test("nobody is suggested what it has, or has been suggested before", () => {
    const dealer = newDealer();
    const [taker] = takers(1) as [Taker];
    taker.has.add(5);
    dealer.addPiece(taker, 5);
    const dealt = deal(dealer, taker, 100);
    expect(new Set(dealt).size).toBe(pieceCount - 1);
    expect(dealt).not.toContain(5);
  });

  test("what a taker asks for unasked counts as dealt to it", () => {
    const dealer = newDealer();
    const [one, other] = takers(2) as [Taker, Taker];
    dealer.asked(one, 7, 0);
    dealer.asked(one, 7, 0);
    expect(dealer.handOf(one)).toBe(1);
    expect(deal(dealer, other, pieceCount - 1)).not.toContain(7);
  });

  test("a piece leaves the hand when its taker has it", () => {
    const dealer = newDealer();
    const [taker] = takers(1) as [Taker];
    const [index] = deal(dealer, taker, 1) as [number];
    expect(dealer.handOf(taker)).toBe(1);
    expect(dealer.addPiece(taker, index)).toBe(true);
    expect(dealer.addPiece(taker, (index + 1) % pieceCount)).toBe(false);
    expect(dealer.handOf(taker)).toBe(0);
  });

  test("what a taker leaves lying, or takes away with it, is dealt to others before anything that they can trade", () => {
    for (const leave of ["expire", "remove"]) {
      const dealer = newDealer();
      const [slow, quick, third] = takers(3) as [Taker, Taker, Taker];
      const [lying] = deal(dealer, slow, 1) as [number];
      for (const index of deal(dealer, quick, pieceCount - 1)) {
        quick.has.add(index);
        dealer.addPiece(quick, index);
      }
      if (leave === "expire") dealer.expire(60_000);
      else dealer.remove(slow, slow.has);
      expect(deal(dealer, third, 1, 60_000)).toEqual([lying]);
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
