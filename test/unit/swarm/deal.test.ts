import { describe, expect, test } from "vitest";
import { Bitfield } from "../../../swarm/bitfield.ts";
import { Deal, type Taker } from "../../../swarm/deal.ts";
import { RateMeter } from "../../../swarm/rate.ts";
import { WireDecoder } from "../../../swarm/wire.ts";
import { ManualClock } from "./manual-clock.ts";

const pieceCount = 40;

class ScriptedTaker implements Taker {
  readonly fast: boolean = true;
  readonly has = new Bitfield(pieceCount);
  readonly closed = false;
  readonly up = new RateMeter(0);
  readonly suggested: number[] = [];
  amChoking = true;
  /** What it was told and when it was unchoked, in order. */
  readonly told: ("suggest" | "unchoke")[] = [];
  readonly #decoder = new WireDecoder(
    {
      onHandshake: () => {},
      onMessage: (message) => {
        if (message.type !== "suggest") throw new Error(`a taker was sent ${message.type}`);
        this.suggested.push(message.index);
        this.told.push("suggest");
      },
      onBlockStart: () => undefined,
      onBlockEnd: () => {},
    },
    { bitfieldBytesMax: 100 },
  );

  constructor() {
    const greeting = Buffer.alloc(68);
    greeting.write("\x13BitTorrent protocol", "latin1");
    this.#decoder.push(greeting);
  }

  send(bytes: Uint8Array): void {
    this.#decoder.push(Buffer.from(bytes));
  }

  setChoking(choking: boolean): void {
    if (this.amChoking && !choking) this.told.push("unchoke");
    this.amChoking = choking;
  }
}

const newDeal = (isFar = (_taker: ScriptedTaker) => false, clock = new ManualClock()) =>
  new Deal<ScriptedTaker>({ pieceCount, pieceLengthBytes: 32 * 1024, clock, random: Math.random, isFar });

describe("a complete node's suggestions", () => {
  test("come before the unchoke, one to each, and none twice while there are others", () => {
    const deal = newDeal();
    const takers = [new ScriptedTaker(), new ScriptedTaker()];
    deal.serve(new Set(takers));
    for (const { told } of takers) expect(told).toEqual(["suggest", "unchoke"]);
    expect(new Set(takers.flatMap(({ suggested }) => suggested)).size).toBe(2);
  });

  test("go on with each piece that arrives", () => {
    const deal = newDeal();
    const takers = [new ScriptedTaker(), new ScriptedTaker()] as const;
    deal.serve(new Set(takers));
    const [first] = takers[0].suggested as [number];
    takers[0].has.add(first);
    deal.addPiece(takers[0], first);
    expect(takers[0].suggested).toHaveLength(2);
    expect(takers[1].suggested).toHaveLength(1);
  });

  test("reach far ahead of a fast taker", () => {
    const deal = newDeal();
    const takers = [new ScriptedTaker(), new ScriptedTaker()] as const;
    takers[0].up.add(100_000_000, 1_000_000);
    deal.serve(new Set(takers));
    expect(takers[0].suggested.length).toBeGreaterThan(20);
    expect(takers[1].suggested).toHaveLength(1);
  });

  test("leave no more pieces in all hands together than go out soon, and do not wait for who is slow", async () => {
    const clock = new ManualClock();
    const deal = newDeal(undefined, clock);
    const takers = Array.from({ length: 30 }, () => new ScriptedTaker());
    deal.serve(new Set(takers));
    const dealt = () => takers.reduce((count, { suggested }) => count + suggested.length, 0);
    const atOnce = dealt();
    expect(atOnce).toBeLessThan(30);
    const quick = takers.find(({ suggested }) => suggested.length > 0) as ScriptedTaker;
    const [first] = quick.suggested as [number];
    quick.has.add(first);
    deal.addPiece(quick, first);
    expect(dealt()).toBe(atOnce + 1);
    await clock.advance(500);
    deal.tick();
    expect(takers.filter(({ suggested }) => suggested.length === 0)).toEqual([]);
  });

  test("go on beside who asks for much as it likes, as other clients and other zones do", async () => {
    const clock = new ManualClock();
    const foreign = new ScriptedTaker();
    const deal = newDeal((taker) => taker === foreign, clock);
    for (let index = 0; index < pieceCount; index++) deal.asked(foreign, index);
    const takers = [new ScriptedTaker(), new ScriptedTaker()];
    deal.serve(new Set([foreign, ...takers]));
    for (const { told } of takers) expect(told).toEqual(["suggest", "unchoke"]);
  });

  test("are not made to a single taker, unless it was dealt pieces before", () => {
    const deal = newDeal();
    const takers = [new ScriptedTaker(), new ScriptedTaker()] as const;
    deal.serve(new Set([takers[0]]));
    expect(takers[0].suggested).toEqual([]);
    expect(deal.isWaiting(takers[0])).toBe(false);
    deal.serve(new Set(takers));
    expect(takers[0].suggested).toHaveLength(1);
    deal.remove(takers[1], takers[1].has);
    const [first] = takers[0].suggested as [number];
    takers[0].has.add(first);
    deal.addPiece(takers[0], first);
    expect(takers[0].suggested).toHaveLength(2);
  });

  test("are not made to takers in another zone, who need not wait for any", () => {
    const far = new ScriptedTaker();
    const deal = newDeal((taker) => taker === far);
    deal.serve(new Set([far, new ScriptedTaker(), new ScriptedTaker()]));
    expect(far.suggested).toEqual([]);
    expect(deal.isWaiting(far)).toBe(false);
  });
});
