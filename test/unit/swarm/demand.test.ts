import { expect, test } from "vitest";
import { Bitfield } from "../../../swarm/bitfield.ts";
import { Demand } from "../../../swarm/demand.ts";
import { blockBytes, demandBytesMax } from "../../../swarm/limits.ts";
import type { Peer } from "../../../swarm/peer.ts";
import { Picker } from "../../../swarm/picker.ts";
import type { Requester } from "../../../swarm/source-feed.ts";
import type { PieceSource } from "../../../swarm/types.ts";
import { ManualClock } from "./manual-clock.ts";

const pieceCount = 40;
const full = Bitfield.full(pieceCount);

/** As much of a peer as is looked at. */
function peerWith(has: Bitfield): Peer {
  return {
    has,
    choking: false,
    closed: false,
    restUntilMs: 0,
    requests: { live: 0, blockMs: 10, answerMsMin: 0, answerMs: () => 0 },
  } as unknown as Peer;
}

function setUp(pieceLengthBytes = 4 * blockBytes, peers: Peer[] = [peerWith(full)]) {
  const clock = new ManualClock();
  const have = new Bitfield(pieceCount);
  const random = () => 0.5;
  const last = { atMs: Number.NEGATIVE_INFINITY };
  const demand = new Demand({ last, pieceCount, pieceLengthBytes, have, peers: new Set(peers), clock, random });
  const picker = new Picker<Requester>({ pieceCount, pieceBytes: () => pieceLengthBytes, have, random });
  for (let index = 0; index < pieceCount; index++) picker.addPiece(index);
  return { clock, have, demand, picker, peers };
}

const near = () => false;
const source = (wantedAfterMs: number): PieceSource => ({
  name: "origin",
  requestsMax: 1,
  wantedAfterMs,
  read: () => Promise.reject(new Error("not here")),
});

test("pieces that are here, or that the torrent does not have, are not waited for", () => {
  const { demand, have } = setUp();
  have.add(3);
  demand.want({ now: [3, pieceCount, -1], ahead: [] });
  expect(demand.isWaiting).toBe(false);
  demand.want({ now: [4], ahead: [] });
  expect([demand.isWaiting, demand.isDemanded(4)]).toEqual([true, true]);
  demand.arrived(4);
  expect(demand.isWaiting).toBe(false);
});

test("a piece has waited since it was first wanted, however often that is said anew", async () => {
  const { demand, clock } = setUp();
  demand.want({ now: [4], ahead: [] });
  await clock.advance(300);
  demand.want({ now: [5, 4], ahead: [] });
  expect(demand.waitedMs(clock.now())).toBe(300);
  demand.want({ now: [5], ahead: [] });
  expect(demand.waitedMs(clock.now())).toBe(0);
});

test("all blocks of a wanted piece are asked for, those of one that is being assembled too, and none twice", () => {
  const { demand, picker, peers } = setUp();
  const slow = peerWith(full);
  picker.pickOf(slow, full, 2, () => true, [7]);
  demand.want({ now: [7, 8], ahead: [] });
  const steps = demand.plan(picker, near).filter(({ requester }) => requester !== undefined);
  for (const { block, requester } of steps) picker.assign(requester as Peer, block);
  // Nobody knows when a peer that is no more among ours will answer: it is not waited for.
  expect(steps.map(({ block }) => block.index)).toEqual([7, 7, 7, 7, 8, 8, 8, 8]);
  expect(steps.every(({ requester }) => requester === peers[0])).toBe(true);
  expect(demand.plan(picker, near)).toEqual([]);
});

test("more than there is memory for waits for its turn, but one piece is always asked for", () => {
  const { demand } = setUp(demandBytesMax / 2);
  demand.want({ now: [1, 2, 3], ahead: [] });
  expect([1, 2, 3].filter((index) => demand.isDemanded(index))).toEqual([1, 2]);
  const large = setUp(4 * demandBytesMax);
  large.demand.want({ now: [1, 2], ahead: [] });
  expect([1, 2].filter((index) => large.demand.isDemanded(index))).toEqual([1]);
});

test("a piece that must come from one peer is not spread over several", () => {
  const { demand, picker } = setUp(4 * blockBytes, [peerWith(full), peerWith(full)]);
  picker.pickOf(peerWith(full), full, 4, () => true, [9]);
  picker.reset(9, true);
  demand.want({ now: [9], ahead: [] });
  expect(demand.plan(picker, near)).toEqual([]);
  expect(demand.ahead(picker)).toEqual([9]);
});

test("little is asked for beside demands, and for five seconds after the last", async () => {
  const { demand, clock } = setUp();
  expect(demand.room(clock.now())).toBeUndefined();
  demand.want({ now: [1], ahead: [] });
  demand.arrived(1);
  await clock.advance(4_900);
  expect(demand.room(clock.now())).toBeDefined();
  await clock.advance(200);
  expect(demand.room(clock.now())).toBeUndefined();
});

test("a source is asked for a piece once that has waited, sooner for what no peer has", async () => {
  const { demand, picker, clock } = setUp();
  picker.removePiece(6);
  demand.want({ now: [5, 6], ahead: [] });
  const feed = {} as Requester;
  expect(demand.forSource(picker, feed, source(1_000))).toBeUndefined();
  await clock.advance(250);
  expect(demand.forSource(picker, feed, source(1_000))).toBe(6);
  expect(demand.forSource(picker, feed, source(1_000))).toBeUndefined();
  await clock.advance(750);
  expect(demand.forSource(picker, feed, source(1_000))).toBe(5);
});

test("a boot's order comes before what a peer suggests, and strictly where there is nobody to trade with", () => {
  const { demand, picker, have } = setUp();
  demand.setOrder([12, 3, 30, 4, 12]);
  have.add(12);
  const { pieces, exclusively } = demand.wishes(picker, full, [20], true);
  expect([pieces, exclusively]).toEqual([[3, 30, 4, 20], true]);
});

test("among nodes that lack pieces too, what fewest have comes first of a boot's next pieces", () => {
  const { demand, picker } = setUp(4 * blockBytes, [peerWith(full), peerWith(new Bitfield(pieceCount))]);
  demand.setOrder([1, 2, 3]);
  picker.addPiece(1);
  expect(demand.wishes(picker, full, [], false).pieces.at(-1)).toBe(1);
});
