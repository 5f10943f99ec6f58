import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { holdingsChecksum } from "../../../daemon/holdings-checksum.ts";
import { FetchSchema, FetchState } from "../../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import type { HoldingFacts, NodeFacts, NodeReport, SharedNode } from "../../../seeder/inventory/facts.ts";
import { Inventory, type NodeQuery } from "../../../seeder/inventory/inventory.ts";
import { holdingsPerNodeMax } from "../../../seeder/inventory/limits.ts";

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
  holdingsChecksum: undefined,
  fetches: [],
  peer: undefined,
  pieceVerifyFailures: 0,
  ...fields,
});
/** As a store gives it back after a restart. */
const restore = (inventory: Inventory, node: NodeFacts, reportedAtMs: number, holdings: HoldingFacts[]) => {
  const leaseMs = 3 * node.reportIntervalMs;
  const told = { epoch: 6n, sequence: 9n, peer: undefined, fetches: [], seederId: "before" };
  inventory.learn({ node, reportedAtMs, leaseMs, ...told }, { all: holdings }, false, reportedAtMs);
};
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

describe("checksums", () => {
  const sum = (letters: string) => holdingsChecksum([...letters].map(holding));

  test("a delta that follows, but after which not all that the node holds is known, is answered with the wish for a full report", () => {
    const inventory = new Inventory();
    inventory.report(report("n", { full: true, holdings: [holding("a")], holdingsChecksum: sum("a") }), 0);
    const agreed = inventory.report(
      report("n", { sequence: 2n, holdings: [holding("b")], holdingsChecksum: sum("ab") }),
      0,
    );
    expect(agreed).toMatchObject({ fullReportWanted: false, diverged: false });
    const other = inventory.report(report("n", { sequence: 3n, holdingsChecksum: sum("abc") }), 0);
    expect(other).toMatchObject({ fullReportWanted: true, diverged: true });
    const healed = report("n", {
      sequence: 4n,
      full: true,
      holdings: [..."abc"].map(holding),
      holdingsChecksum: sum("abc"),
    });
    expect(inventory.report(healed, 0)).toMatchObject({ fullReportWanted: false, diverged: false });
  });

  test.each([
    ["its size", { allocatedBytes: 2 }],
    ["its pin", { pinned: true }],
    ["its last use", { lastUsedAtMs: 0 }],
  ])("a holding known wrongly by %s is found", (_what, wrong) => {
    const inventory = new Inventory();
    restore(inventory, nodeFacts("n"), 0, [{ ...holding("a"), ...wrong }]);
    expect(inventory.report(report("n", { holdingsChecksum: sum("a") }), 0).fullReportWanted).toBe(true);
  });

  test("what was remembered through a restart is believed without a full report if the checksum is the same", () => {
    const inventory = new Inventory();
    restore(inventory, nodeFacts("n"), 0, [holding("a"), holding("b")]);
    const asked = inventory.report(report("n", { sequence: 40n, holdingsChecksum: sum("ab") }), 0);
    expect(asked).toMatchObject({ fullReportWanted: false, diverged: false, holdingsChanged: false });
    const next = report("n", { sequence: 41n, removedDigests: [digestOf("a")], holdingsChecksum: sum("b") });
    expect(inventory.report(next, 0).fullReportWanted).toBe(false);
    expect(held(inventory, "n")).toBe("b");
  });

  test("changes of a delta that follows nothing are not taken, whatever its checksum", () => {
    const inventory = new Inventory();
    inventory.report(report("n", { full: true, holdings: [holding("a")], holdingsChecksum: sum("a") }), 0);
    const late = report("n", { sequence: 9n, holdings: [holding("b")], holdingsChecksum: sum("ab") });
    expect(inventory.report(late, 0)).toMatchObject({ fullReportWanted: true, diverged: false });
    expect(held(inventory, "n")).toBe("a");
  });

  test("a full report is believed although its own checksum is another", () => {
    const inventory = new Inventory();
    const odd = report("n", { full: true, holdings: [holding("a")], holdingsChecksum: 1n });
    expect(inventory.report(odd, 0)).toMatchObject({ fullReportWanted: false, diverged: true });
  });
});

describe("lost nodes", () => {
  test("a node counts as up for as long as its lease says", () => {
    const inventory = new Inventory();
    inventory.report(report("n", { full: true }), 0, 20_000);
    expect(inventory.node("n", 20_000).state).toBe("up");
    expect(inventory.node("n", 20_001).state).toBe("lost");
  });

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
    const inventory = new Inventory(100);
    for (let i = 0; i < 100; i++) inventory.report(report(`n${i}`, { full: true }), i === 5 ? 0 : 9_000);
    expect(inventory.report(report("new", { full: true }), 9_000).forgottenId).toBe("n5");
    expect(() => inventory.report(report("other", { full: true }), 9_000)).toThrow(/100 nodes report already/);
    expect(inventory.report(report("other", { full: true }), 12_001).forgottenId).toBe("n0");
  });
});

describe("after a restart", () => {
  test("known nodes are shown, and asked for a full report", () => {
    const inventory = new Inventory();
    restore(inventory, nodeFacts("n"), 1_000, [holding("a")]);
    expect(held(inventory, "n")).toBe("a");
    expect(inventory.node("n", 100_000).state).toBe("lost");
    const outcome = inventory.report(report("n", { sequence: 40n, holdings: [holding("b")] }), 100_000);
    expect(outcome.fullReportWanted).toBe(true);
    expect(held(inventory, "n")).toBe("a");
    inventory.report(report("n", { sequence: 41n, full: true, holdings: [holding("b")] }), 100_000);
    expect(held(inventory, "n")).toBe("b");
  });
});

describe("bounds", () => {
  const many = (count: number, start = 0) =>
    Array.from({ length: count }, (_, index) => ({
      ...holding("a"),
      digest: (start + index).toString(16).padStart(64, "0"),
    }));

  test("a node holds no more images than there may be, by whatever reports, and changes those it has", () => {
    const inventory = new Inventory();
    inventory.report(report("n", { full: true, holdings: many(holdingsPerNodeMax) }), 0);
    const [first, other] = many(1, holdingsPerNodeMax).concat(many(1)) as [HoldingFacts, HoldingFacts];
    const more = (fields: Partial<NodeReport>) => () => inventory.report(report("n", { sequence: 2n, ...fields }), 0);
    expect(more({ holdings: [first] })).toThrow(/10000 images at most, not 10001/);
    expect(more({ holdings: [first], removedDigests: [digestOf("f")] })).toThrow(/not 10001/);
    expect(more({ holdings: [first, other], removedDigests: [other.digest] })).toThrow(/not 10001/);
    expect(more({ holdings: many(holdingsPerNodeMax) })).not.toThrow();
  });
});

describe("questions", () => {
  const named = (id: string, name: string, zone = "") =>
    ({ ...report(id, { full: true }), node: { ...nodeFacts(id, name), zone } }) satisfies NodeReport;

  test("nodes come by name, page by page, all or those of a zone or state", () => {
    const inventory = new Inventory();
    inventory.report(named("4", "b", "east"), 0);
    inventory.report(named("3", "c", "west"), 9_000);
    inventory.report(named("2", "a", "east"), 9_000);
    inventory.report(named("1", "b", "east"), 9_000);
    const ids = (query: Partial<NodeQuery>) => {
      const { nodes, more } = inventory.page({ limit: 10, ...query }, 9_000);
      return nodes.map(({ node }) => node.id).join("") + (more ? "+" : "");
    };
    expect(ids({})).toBe("2143");
    expect(ids({ limit: 2 })).toBe("21+");
    expect(ids({ limit: 2, after: { name: "b", id: "1" } })).toBe("43");
    expect(ids({ zone: "east" })).toBe("214");
    expect(ids({ zone: "east", state: "up", limit: 2 })).toBe("21");
    expect(ids({ state: "lost" })).toBe("4");
    expect(inventory.counts(9_000, "east")).toEqual({ up: 2, lost: 1 });
  });

  test("a node that has a new name is found under that, and under the old one no more", () => {
    const inventory = new Inventory();
    inventory.report(named("1", "old"), 0);
    inventory.report({ ...named("1", "new"), sequence: 2n }, 0);
    expect(inventory.lookup("new", 0)?.node.id).toBe("1");
    expect(inventory.lookup("old", 0)).toBeUndefined();
    expect(inventory.nodes(0)).toHaveLength(1);
  });

  test("from the images' side the same is known as from the nodes', whatever is reported and forgotten", () => {
    const letters = fc.uniqueArray(fc.constantFrom("a", "b", "c", "d", "e"));
    const step = fc.record({ node: fc.nat(4), full: fc.boolean(), holds: letters, drops: letters, fetches: letters });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const inventory = new Inventory();
        const truth = new Map<string, { held: Set<string>; fetches: Set<string>; sequence: bigint }>();
        for (const { node, full, holds, drops, fetches } of steps) {
          const id = `n${node}`;
          const before = truth.get(id);
          const isFull = full || !before;
          const held = new Set<string>(
            isFull
              ? holds
              : [...[...before.held].filter((letter) => !drops.some((dropped) => dropped === letter)), ...holds],
          );
          const sequence = (before?.sequence ?? 0n) + 1n;
          truth.set(id, { held, fetches: new Set(fetches), sequence });
          inventory.report(
            report(id, {
              ...{
                sequence,
                full: isFull,
                holdings: holds.map(holding),
                holdingsChecksum: holdingsChecksum([...held].map(holding)),
              },
              removedDigests: isFull ? [] : drops.map(digestOf),
              fetches: fetches.map((letter) => fetchOf(letter, FetchState.ACTIVE)),
            }),
            0,
          );
        }
        const all = new Set([...truth.values()].flatMap(({ held, fetches }) => [...held, ...fetches]));
        expect([...inventory.digests()].sort()).toEqual([...all].map(digestOf).sort());
        for (const letter of "abcde") {
          const parts = inventory.parts(digestOf(letter), 0);
          const ids = (has: "held" | "fetches") =>
            [...truth].filter(([, part]) => part[has].has(letter)).map(([id]) => id);
          expect(parts.filter((part) => part.holding).map(({ node }) => node.id)).toEqual(ids("held").sort());
          const fetching = ids("fetches").filter((id) => !ids("held").includes(id));
          expect(parts.filter((part) => part.fetch).map(({ node }) => node.id)).toEqual(fetching.sort());
          expect(inventory.partCounts(digestOf(letter))).toEqual({
            holding: ids("held").length,
            fetching: ids("fetches").length,
          });
        }
        for (const [id, part] of truth) expect(held(inventory, id)).toBe([...part.held].sort().join(""));
      }),
    );
  });

  test("a node's part in an image is a holding, or else a fetch unless the node is lost", () => {
    const inventory = new Inventory();
    const fetches = [fetchOf("a", FetchState.ACTIVE), fetchOf("b", FetchState.QUEUED)];
    inventory.report(report("n", { full: true, holdings: [holding("a")], fetches }), 0);
    expect(inventory.partOf("n", digestOf("a"), 0)).toMatchObject({ holding: holding("a"), fetch: undefined });
    expect(inventory.partOf("n", digestOf("b"), 0)).toMatchObject({
      holding: undefined,
      fetch: { digest: digestOf("b") },
    });
    expect(inventory.partOf("n", digestOf("b"), 3_001)).toBeUndefined();
    expect(inventory.partOf("n", digestOf("c"), 0)).toBeUndefined();
    expect(inventory.partOf("m", digestOf("a"), 0)).toBeUndefined();
  });

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

describe("nodes of other seeders", () => {
  const shared = (fields: Partial<SharedNode> = {}): SharedNode => ({
    node: nodeFacts("n"),
    epoch: 7n,
    sequence: 5n,
    reportedAtMs: 1_000,
    leaseMs: 3_000,
    peer: undefined,
    fetches: [],
    seederId: "other",
    ...fields,
  });
  const learn = (inventory: Inventory, fields: Partial<SharedNode> = {}, ...letters: string[]) =>
    inventory.learn(shared(fields), { all: letters.map(holding) }, true, 1_000);

  test("are known with what they hold, and what has changed of it", () => {
    const inventory = new Inventory();
    learn(inventory, {}, "a", "b");
    inventory.learn(shared({ sequence: 6n }), { changed: [holding("c")], removed: [digestOf("a")] }, true, 1_000);
    inventory.learn(shared({ sequence: 7n }), undefined, true, 1_000);
    expect(held(inventory, "n", 1_000)).toBe("bc");
    expect(inventory.parts(digestOf("c"), 1_000)).toMatchObject([{ node: { id: "n" }, state: "up" }]);
  });

  test("are lost by the time at which they were last heard of, not by the time since", () => {
    const inventory = new Inventory();
    learn(inventory);
    inventory.heard(4_000);
    expect(inventory.node("n", 1_000_000).state).toBe("up");
    inventory.heard(4_001);
    expect(inventory.node("n", 1_000_000).state).toBe("lost");
  });

  test("are told as peers to nodes that report here", () => {
    const inventory = new Inventory();
    learn(inventory, { peer: { host: "10.0.0.7", port: 7411 } }, "a");
    inventory.heard(1_000);
    const fetches = [fetchOf("a", FetchState.ACTIVE)];
    inventory.report(report("m", { full: true, fetches, peer: { host: "10.0.0.8", port: 7411 } }), 1_000);
    expect(inventory.peersFor("m", 1_000, () => 0)).toEqual([
      { digest: digestOf("a"), peers: [{ host: "10.0.0.7", port: 7411 }] },
    ]);
  });

  test("stay this seeder's while its own report is the later one, and become its own by a later report", () => {
    const inventory = new Inventory();
    inventory.report(report("n", { full: true, sequence: 5n, holdings: [holding("a")] }), 2_000);
    expect(learn(inventory, { sequence: 4n, reportedAtMs: 3_000 }, "b")).toBe(false);
    expect(learn(inventory, { sequence: 5n, reportedAtMs: 3_000 }, "b")).toBe(false);
    expect(held(inventory, "n", 2_000)).toBe("a");
    expect(learn(inventory, { sequence: 6n, reportedAtMs: 3_000 }, "b")).toBe(true);
    expect(inventory.shared("n")).toMatchObject({ seederId: "other", sequence: 6n });
    const outcome = inventory.report(report("n", { sequence: 7n }), 4_000);
    expect(outcome).toMatchObject({ fullReportWanted: true, tookOver: true });
    expect(inventory.shared("n")).toMatchObject({ seederId: "", sequence: 7n });
    expect(inventory.demandHere(4_000)).toBe(1);
  });

  test("need not tell all of what they hold when they come here and their checksum says it is what is known", () => {
    const inventory = new Inventory();
    learn(inventory, {}, "a", "b");
    const checksum = holdingsChecksum([holding("a"), holding("b")]);
    const outcome = inventory.report(report("n", { sequence: 6n, holdingsChecksum: checksum }), 2_000);
    expect(outcome).toMatchObject({ fullReportWanted: false, holdingsChanged: false });
  });

  test("of an agent that has started again belong to the seeder that heard of it last", () => {
    const inventory = new Inventory();
    inventory.report(report("n", { full: true, epoch: 8n, sequence: 1n }), 2_000);
    expect(learn(inventory, { epoch: 7n, sequence: 90n, reportedAtMs: 1_999 })).toBe(false);
    expect(learn(inventory, { epoch: 9n, sequence: 1n, reportedAtMs: 2_001 })).toBe(true);
  });
});
