import { expect, test } from "vitest";
import type { ReportedPrefetchFacts } from "../../../seeder/inventory/facts.ts";
import { directivesFor, type Wished } from "../../../seeder/prefetch/directives.ts";
import { directivesPerAnswerMax } from "../../../seeder/prefetch/limits.ts";
import {
  chooseTargets,
  endIfOver,
  type OperatorPrefetch,
  type TargetCandidate,
} from "../../../seeder/prefetch/operator-prefetch.ts";

const wish = (digest: string, prefetchId = ""): Wished => ({
  digest,
  prefetchId,
  expectedUses: 1,
  bytesPerSecondMax: 0,
});
const told = (wishes: Wished[], reported: ReportedPrefetchFacts[] = [], coming: string[] = [], tolerated = true) =>
  directivesFor(wishes, {
    reported: new Map(reported.map((each) => [each.digest, each])),
    isComing: (digest) => coming.includes(digest),
    isTolerated: () => tolerated,
  }).map(({ kind, digest, prefetchId }) => `${kind} ${digest} ${prefetchId}`.trim());
const reported = (digest: string, prefetchId = "", error?: string): ReportedPrefetchFacts => ({
  digest,
  prefetchId,
  error,
});

test("a node is told until it says that it knows", () => {
  expect(told([wish("a")])).toEqual(["prefetch a"]);
  expect(told([wish("a")], [reported("a")])).toEqual([]);
  expect(told([wish("a")], [reported("a", "", "no room")])).toEqual([]);
  expect(told([wish("a")], [], ["a"])).toEqual([]);
});

test("what an operator asks for takes the place of what was planned, not the other way about", () => {
  expect(told([wish("a", "op")], [reported("a")])).toEqual(["prefetch a op"]);
  expect(told([wish("a")], [reported("a", "op")])).toEqual([]);
});

test("what is no longer wished is withdrawn, unless it may be another seeder's wish", () => {
  expect(told([], [reported("a")], [], false)).toEqual(["stop a"]);
  expect(told([], [reported("a")], [], true)).toEqual([]);
  expect(told([], [reported("a", "", "it failed")], [], false)).toEqual([]);
});

test("a few are told at a time", () => {
  const many = Array.from({ length: 100 }, (_, index) => wish(`d${index}`));
  expect(told(many)).toHaveLength(directivesPerAnswerMax);
});

const asked = (fields: Partial<OperatorPrefetch> = {}): OperatorPrefetch => ({
  ...{ id: "p", digest: "d", name: "", sizeBytes: 1, nodeIds: [], zone: "", count: 0, state: "running" as const },
  ...{ createdAtMs: 0, endedAtMs: undefined, targets: new Map() },
  ...fields,
});
const host = (id: string, fields: Partial<TargetCandidate> = {}): TargetCandidate => ({
  ...{ id, hasImage: false, isComing: false, fetches: 0, diskFreeBytes: 10 },
  ...fields,
});

test("of so many nodes, those that have the image count first, then those that fetch it, then those at rest", () => {
  const prefetch = asked({ count: 3 });
  const hosts = [
    host("busy", { fetches: 2 }),
    host("rests"),
    host("has", { hasImage: true }),
    host("comes", { isComing: true }),
  ];
  expect(chooseTargets(prefetch, hosts)).toBe(true);
  expect([...prefetch.targets.keys()]).toEqual(["has", "comes", "rests"]);
  expect(prefetch.targets.get("has")?.state).toBe("ready");
});

test("for a node that fails another is chosen, and never the same again", () => {
  const prefetch = asked({ count: 1 });
  const hosts = [host("a"), host("b")];
  chooseTargets(prefetch, hosts);
  prefetch.targets.set("a", { state: "failed", error: "no room" });
  expect(endIfOver(prefetch, 1)).toBe(true);
  prefetch.state = "running";
  chooseTargets(prefetch, hosts);
  expect([...prefetch.targets.keys()]).toEqual(["a", "b"]);
  prefetch.targets.set("b", { state: "failed", error: "no room" });
  expect(chooseTargets(prefetch, hosts)).toBe(false);
  expect([endIfOver(prefetch, 5), prefetch.state, prefetch.endedAtMs]).toEqual([true, "failed", 5]);
});

test("it is done once as many have the image as were asked for", () => {
  const prefetch = asked({ nodeIds: ["a"], targets: new Map([["a", { state: "pending", error: "" }]]) });
  expect(endIfOver(prefetch, 1)).toBe(false);
  prefetch.targets.set("a", { state: "ready", error: "" });
  expect([endIfOver(prefetch, 1), prefetch.state]).toEqual([true, "done"]);
});
