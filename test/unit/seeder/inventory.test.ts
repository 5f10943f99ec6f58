import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FetchSchema, FetchState } from "../../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import type { HoldingFacts, NodeFacts, NodeReport } from "../../../seeder/inventory/facts.ts";
import { Inventory } from "../../../seeder/inventory/inventory.ts";
import { nodesMax } from "../../../seeder/inventory/limits.ts";

const digestOf = (letter: string) => letter.repeat(64);
const holding = (letter: string): HoldingFacts => ({
  digest: digestOf(letter),
  allocatedBytes: 1,
  pinned: false,
  lastUsedAtMs: undefined,
});
const fetchOf = (letter: string, state: FetchState, doneBytes = 0n) =>
  create(FetchSchema, { digest: digestOf(letter), state, doneBytes });
const nodeFacts = (id: string, name = id): NodeFacts => ({
  id,
  name,
  apiUrl: "",
  version: "1",
  zone: "",
  cacheBytes: 0,
  diskFreeBytes: 0,
  diskSizeBytes: 0,
  reportIntervalMs: 1_000,
});
const report = (id: string, fields: Partial<NodeReport>): NodeReport => ({
  node: nodeFacts(id),
  epoch: 7n,
  sequence: 1n,
  full: false,
  holdings: [],
  removedDigests: [],
  fetches: [],
  peer: undefined,
  ...fields,
});
const held = (inventory: Inventory, id: string, nowMs = 0) =>
  inventory
    .node(id, nowMs)
    .holdings.map(({ digest }) => digest[0])
    .sort()
    .join("");

describe("reports", () => {
  test("a full report is taken, and replaces what was known", () => {
    const inventory = new Inventory();
    inventory.report(report("n", { full: true, holdings: [holding("a"), holding("b")] }), 0);
    const outcome = inventory.report(report("n", { full: true, sequence: 2n, holdings: [holding("c")] }), 0);
    expect(outcome).toMatchObject({ fullReportWanted: false, holdingsChanged: true });
    expect(held(inventory, "n")).toBe("c");
  });

  test("deltas in sequence add and remove", () => {
    const inventory = new Inventory();
    inventory.report(report("n", { full: true, holdings: [holding("a")] }), 0);
    inventory.report(report("n", { sequence: 2n, holdings: [holding("b")] }), 0);
    const last = inventory.report(report("n", { sequence: 3n, removedDigests: [digestOf("a")] }), 0);
    expect(last.fullReportWanted).toBe(false);
    expect(held(inventory, "n")).toBe("b");
  });

  test.each([
    ["a delta of a node never heard of", []],
    ["a delta after a gap", [report("n", { full: true, sequence: 4n })]],
    ["a delta sent twice", [report("n", { full: true, sequence: 5n }), report("n", { sequence: 6n })]],
    ["a delta of another epoch", [report("n", { full: true, sequence: 5n, epoch: 8n })]],
  ])("%s is answered with the wish for a full report", (_what, earlier) => {
    const inventory = new Inventory();
    for (const one of earlier) inventory.report(one, 0);
    const outcome = inventory.report(report("n", { sequence: 6n, holdings: [holding("x")] }), 0);
    expect(outcome).toMatchObject({ fullReportWanted: true, holdingsChanged: false });
    expect(held(inventory, "n")).toBe("");
  });

  test("after a gap no delta is taken until a full report has come", () => {
    const inventory = new Inventory();
    inventory.report(report("n", { full: true }), 0);
    inventory.report(report("n", { sequence: 3n }), 0);
    expect(inventory.report(report("n", { sequence: 2n }), 0).fullReportWanted).toBe(true);
    expect(inventory.report(report("n", { sequence: 4n }), 0).fullReportWanted).toBe(true);
    expect(inventory.report(report("n", { sequence: 5n, full: true }), 0).fullReportWanted).toBe(false);
    expect(inventory.report(report("n", { sequence: 6n }), 0).fullReportWanted).toBe(false);
  });

  test("a delta that is not taken still says that the node is there, and what it fetches", () => {
    const inventory = new Inventory();
    inventory.report(report("n", { sequence: 9n, fetches: [fetchOf("a", FetchState.ACTIVE)] }), 500);
    expect(inventory.node("n", 500)).toMatchObject({ state: "up", reportedAtMs: 500, fetches: [{}] });
  });

  test("two agents under one id are noticed", () => {
    const inventory = new Inventory();
    const outcomes = [1n, 2n, 1n].map((epoch) => inventory.report(report("n", { full: true, epoch }), 0).idShared);
    expect(outcomes).toEqual([false, false, true]);
  });

  test("whatever is lost on the way, the inventory ends up as the agent is once a full report gets through", () => {
    const step = fc.record({ letter: fc.constantFrom("a", "b", "c"), remove: fc.boolean(), lost: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const inventory = new Inventory();
        const holds = new Set<string>();
        let sequence = 0n;
        let full = true;
        const send = (changed: string | undefined, removed: string | undefined, lost: boolean) => {
          sequence += 1n;
          const holdings = full ? [...holds].map(holding) : changed ? [holding(changed)] : [];
          const removedDigests = removed && !full ? [digestOf(removed)] : [];
          const message = report("n", { sequence, full, holdings, removedDigests });
          // An agent asks itself for a full report after one that was not answered.
          full = lost || inventory.report(message, 0).fullReportWanted;
        };
        for (const { letter, remove, lost } of steps) {
          if (remove) holds.delete(letter);
          else holds.add(letter);
          send(remove ? undefined : letter, remove ? letter : undefined, lost);
        }
        send(undefined, undefined, false);
        if (full) send(undefined, undefined, false);
        expect(held(inventory, "n")).toBe([...holds].sort().join(""));
      }),
    );
  });
});

describe("lost nodes", () => {
  test("a node silent for more than three of its intervals is lost, and its fetches are not counted", () => {
    const inventory = new Inventory();
    const fetches = [fetchOf("a", FetchState.ACTIVE)];
    inventory.report(report("n", { full: true, holdings: [holding("b")], fetches }), 10_000);
    expect(inventory.node("n", 13_000)).toMatchObject({ state: "up", fetches: [{}] });
    expect(inventory.node("n", 13_001)).toMatchObject({ state: "lost", fetches: [], holdings: [{}] });
    expect(inventory.parts(digestOf("a"), 13_001)).toEqual([]);
    expect(inventory.counts(13_001)).toEqual({ up: 0, lost: 1 });
  });

  test("a node that reports again is up again", () => {
    const inventory = new Inventory();
    inventory.report(report("n", { full: true }), 0);
    inventory.report(report("n", { sequence: 2n }), 60_000);
    expect(inventory.node("n", 60_000).state).toBe("up");
  });

  test("the node lost for longest makes room for a new one, but none that is up does", () => {
    const inventory = new Inventory();
    for (let i = 0; i < nodesMax; i++) inventory.report(report(`n${i}`, { full: true }), i === 5 ? 0 : 9_000);
    expect(inventory.report(report("new", { full: true }), 9_000).forgottenId).toBe("n5");
    expect(() => inventory.report(report("other", { full: true }), 9_000)).toThrow(/nodes report already/);
  });
});

describe("after a restart", () => {
  test("known nodes are shown, and asked for a full report", () => {
    const inventory = new Inventory();
    inventory.restore([{ node: nodeFacts("n"), reportedAtMs: 1_000, holdings: [holding("a")] }]);
    expect(held(inventory, "n")).toBe("a");
    expect(inventory.node("n", 100_000).state).toBe("lost");
    const outcome = inventory.report(report("n", { sequence: 40n, holdings: [holding("b")] }), 100_000);
    expect(outcome.fullReportWanted).toBe(true);
    expect(held(inventory, "n")).toBe("a");
    inventory.report(report("n", { sequence: 41n, full: true, holdings: [holding("b")] }), 100_000);
    expect(held(inventory, "n")).toBe("b");
  });
});

describe("questions", () => {
  test("who has an image comes before who fetches it, the most advanced first", () => {
    const inventory = new Inventory();
    const fetching = (id: string, doneBytes: bigint) =>
      inventory.report(report(id, { full: true, fetches: [fetchOf("a", FetchState.ACTIVE, doneBytes)] }), 10_000);
    fetching("slow", 1n);
    fetching("fast", 9n);
    inventory.report(report("silent", { full: true, holdings: [holding("a")] }), 0);
    inventory.report(report("has", { full: true, holdings: [holding("a")] }), 10_000);
    inventory.report(report("idle", { full: true }), 10_000);
    expect(inventory.parts(digestOf("a"), 10_000).map(({ node }) => node.id)).toEqual([
      "has",
      "silent",
      "fast",
      "slow",
    ]);
  });

  test("a node is found by id, or by name if only one has it", () => {
    const inventory = new Inventory();
    inventory.report({ ...report("id1", { full: true }), node: nodeFacts("id1", "web") }, 0);
    expect(inventory.node("web", 0).node.id).toBe("id1");
    inventory.report({ ...report("id2", { full: true }), node: nodeFacts("id2", "web") }, 0);
    expect(() => inventory.node("web", 0)).toThrow(/id1, id2/);
    expect(inventory.node("id2", 0).node.id).toBe("id2");
    expect(() => inventory.node("nobody", 0)).toThrow(/"nobody" has ever reported; `bootswarm nodes` /);
  });
});
