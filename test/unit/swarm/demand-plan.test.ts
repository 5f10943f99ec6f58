import { expect, test } from "vitest";
import { type DemandedBlock, type DemandPeer, planDemand } from "../../../swarm/demand-plan.ts";
import { blockBytes } from "../../../swarm/limits.ts";

const all = { has: () => true };

function peer(requester: string, changes: Partial<DemandPeer<string>> = {}): DemandPeer<string> {
  return { requester, has: all, queuedBlocks: 0, blockMs: 10, answerMs: 10, isFar: false, ...changes };
}

function piece(blocks: number, changes: Partial<DemandedBlock<string>> = {}, index = 0): DemandedBlock<string>[] {
  return Array.from({ length: blocks }, (_, at) => ({
    block: { index, begin: at * blockBytes, length: blockBytes },
    askedOf: [],
    dueAtMs: undefined,
    ...changes,
  }));
}

const askedOf = (steps: { requester: string | undefined }[]) => steps.map(({ requester }) => requester);

test("the blocks of a piece spread over the peers that have it", () => {
  expect(askedOf(planDemand(piece(4), [peer("a"), peer("b")], 0)).sort()).toEqual(["a", "a", "b", "b"]);
});

test("a peer with a queue is asked after those without, and a quick one for more than a slow one", () => {
  const busy = planDemand(piece(3), [peer("busy", { queuedBlocks: 2 }), peer("free")], 0);
  expect(askedOf(busy)).toEqual(["free", "free", "busy"]);
  const slow = planDemand(piece(4), [peer("slow", { blockMs: 40 }), peer("quick")], 0);
  expect(askedOf(slow)).toEqual(["quick", "quick", "quick", "slow"]);
});

test("a peer that lets a request wait is not taken for quick", () => {
  const stalled = peer("stalled", { queuedBlocks: 1, blockMs: 1, answerMs: 900 });
  expect(askedOf(planDemand(piece(2), [stalled, peer("free")], 0))).toEqual(["free", "free"]);
});

test("who lacks the piece is not asked, and with nobody to ask nothing is done", () => {
  expect(planDemand(piece(2), [peer("a", { has: { has: () => false } })], 0)).toEqual([]);
  expect(planDemand(piece(2), [], 0)).toEqual([]);
});

test("a peer of another zone is asked only where it is quicker by far", () => {
  const near = peer("near", { blockMs: 50 });
  expect(askedOf(planDemand(piece(1), [peer("far", { isFar: true }), near], 0))).toEqual(["near"]);
  const slow = peer("near", { blockMs: 500 });
  expect(askedOf(planDemand(piece(1), [peer("far", { isFar: true }), slow], 0))).toEqual(["far"]);
});

test("a block that was asked for is left alone until it is due, and then asked of another, of three at most", () => {
  const asked = piece(1, { askedOf: ["a"], dueAtMs: 100 });
  const peers = [peer("a"), peer("b"), peer("c"), peer("d")];
  expect(planDemand(asked, peers, 99)).toEqual([]);
  expect(askedOf(planDemand(asked, peers, 100))).toEqual(["b"]);
  expect(askedOf(planDemand(piece(1, { askedOf: ["a", "b"], dueAtMs: 100 }), peers, 150))).toEqual(["c"]);
  expect(planDemand(piece(1, { askedOf: ["a", "b", "c"], dueAtMs: 100 }), peers, 9_000)).toEqual([]);
});

test("a block whose peer is gone is asked of another at once", () => {
  expect(askedOf(planDemand(piece(1, { dueAtMs: 5_000 }), [peer("b")], 0))).toEqual(["b"]);
});

test("a block of a piece that others fetch anyway stays with its peer, unless another is quicker by far", () => {
  const asked = piece(1, { askedOf: ["a"] });
  expect(askedOf(planDemand(asked, [peer("a", { queuedBlocks: 3 }), peer("b")], 0))).toEqual([undefined]);
  expect(askedOf(planDemand(asked, [peer("a", { queuedBlocks: 30 }), peer("b")], 0))).toEqual(["b"]);
});

test("what is expected to take long is not late soon: many blocks on one link wait for each other", () => {
  const [first] = planDemand(piece(1), [peer("a", { queuedBlocks: 60 }), peer("b", { queuedBlocks: 60 })], 0);
  expect(first?.dueAtMs).toBeGreaterThanOrEqual(2 * 120 * 10);
});
