/** Seeders of one database that plan at the same moment, each for the nodes that report to it; with a real store. */
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { expect, onTestFinished, test } from "vitest";
import { createLog } from "../../../daemon/log.ts";
import { FetchPriority, FetchSchema, FetchState } from "../../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import type { NodeReport } from "../../../seeder/inventory/facts.ts";
import { Inventory } from "../../../seeder/inventory/inventory.ts";
import { prefetchConfigSchema } from "../../../seeder/prefetch/config.ts";
import { NodeReports } from "../../../seeder/prefetch/node-reports.ts";
import { PlanKeeper } from "../../../seeder/prefetch/plan-keeper.ts";
import { Popularity } from "../../../seeder/prefetch/popularity.ts";
import { openSqliteStore } from "../../../seeder/store/sqlite.ts";
import type { Store } from "../../../seeder/store/store.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";

const digest = "d".repeat(64);
const GiB = 2 ** 30;
/** By the seeders' clocks, which agree. */
const clock = { nowMs: 1_790_000_000_000 };

async function openStore(): Promise<Store> {
  const log = createLog({ level: "silent", name: "test" });
  const store = await openSqliteStore(join(await temporaryDirectory(), "seeder.sqlite"), log);
  onTestFinished(() => store.close());
  return store;
}

/** One seeder's part: an inventory, and the plan made of it. */
class Seeder {
  readonly inventory = new Inventory();
  readonly reports = new NodeReports((id) => this.inventory.record(id)?.elsewhere !== undefined);
  readonly live = new Set<string>();
  readonly plan: PlanKeeper;
  readonly id: string;
  #sequence = 0n;

  constructor(id: string, store: Store, settings: object = {}) {
    this.id = id;
    const { inventory, reports, live } = this;
    const config = prefetchConfigSchema.parse({ mode: "on", choiceShare: 1, ...settings });
    const popularity = new Popularity(config.halfLifeMs);
    popularity.add("r1", digest, 10, clock.nowMs);
    const images = async () => [{ digest, names: ["popular"], sizeBytes: GiB }];
    this.plan = new PlanKeeper({
      ...{ inventory, reports, popularity, images, config },
      nowMs: () => clock.nowMs,
      planAlone: (plan) => store.prefetch.planAlone(id, live, plan),
    });
  }

  /** A node reports here, and the others learn of it. */
  report(nodeId: string, others: readonly Seeder[], fields: Partial<NodeReport> = {}): void {
    const names = { id: nodeId, name: nodeId, apiUrl: "", version: "1", zone: "r1" };
    const report: NodeReport = {
      node: { ...names, cacheBytes: 0, diskFreeBytes: 0, diskSizeBytes: 0, reportIntervalMs: 1_000 },
      ...{ epoch: 1n, sequence: ++this.#sequence, full: true, holdings: [], removedDigests: [] },
      ...{ holdingsChecksum: undefined, fetches: [], peer: undefined, pieceVerifyFailures: 0 },
      prefetch: { enabled: true, budgetBytes: 10 * GiB, usedBytes: 0, roomBytes: 10 * GiB },
      ...fields,
    };
    this.inventory.report(report, clock.nowMs);
    this.reports.take(report);
    const shared = this.inventory.shared(nodeId);
    if (!shared) throw new Error(`${nodeId} is not known`);
    for (const other of others) {
      other.inventory.learn({ ...shared, seederId: this.id }, { all: report.holdings }, true, clock.nowMs);
      other.inventory.heard(clock.nowMs);
    }
  }
}

async function pairOf(settings: object = {}) {
  const store = await openStore();
  const [a, b] = [new Seeder("a", store, settings), new Seeder("b", store, settings)];
  for (const id of ["a", "b"]) for (const seeder of [a, b]) seeder.live.add(id);
  for (const id of ["a1", "a2"]) a.report(id, [b]);
  for (const id of ["b1", "b2"]) b.report(id, [a]);
  return { a, b };
}

const given = (...seeders: Seeder[]) =>
  ["a1", "a2", "b1", "b2"].filter((node) => seeders.some(({ plan }) => plan.assignedTo(node)));

test("two seeders that plan at the same moment bring one next copy, and each tells all that is planned", async () => {
  const { a, b } = await pairOf();
  await Promise.all([a.plan.remake(), b.plan.remake()]);
  expect(given(a, b)).toHaveLength(1);
  await Promise.all([a.plan.remake(), b.plan.remake()]);
  expect(given(a, b)).toHaveLength(1);
  expect(b.plan.planned("r1").map(({ nodeId }) => nodeId)).toEqual(given(a, b));
  expect(a.plan.planned("r1").map(({ nodeId }) => nodeId)).toEqual(given(a, b));
});

test("more copies than one seeder's nodes can take are planned by both, each for its own nodes", async () => {
  // Copies are wanted on every node: a launch can choose among one alone.
  const { a, b } = await pairOf({ choiceShare: 0.001, missesAvertedMin: 0.1 });
  await Promise.all([a.plan.remake(), b.plan.remake()]);
  expect(given(a)).toEqual(["a1", "a2"]);
  expect(given(b)).toEqual(["b1", "b2"]);
});

test("a zone's bytes per second are shared by what all seeders bring", async () => {
  const { a, b } = await pairOf({ choiceShare: 0.001, missesAvertedMin: 0.1, zoneBytesPerSecondMax: 12_000_000 });
  await Promise.all([a.plan.remake(), b.plan.remake()]);
  expect(given(a, b)).toHaveLength(3);
});

test("what a seeder had planned that is gone is planned by the other", async () => {
  const { a, b } = await pairOf();
  await a.plan.remake();
  expect(given(a)).toEqual(["a1"]);
  await b.plan.remake();
  expect(given(b)).toEqual([]);
  b.live.delete("a");
  await b.plan.remake();
  expect(given(b)).toEqual(["b1"]);
});

test("a node that comes over takes its plan with it", async () => {
  const { a, b } = await pairOf();
  await a.plan.remake();
  clock.nowMs += 500;
  const coming = create(FetchSchema, { digest, state: FetchState.ACTIVE, priority: FetchPriority.PREFETCH });
  const prefetches = [{ digest, prefetchId: "", error: undefined }];
  b.report("a1", [a], { epoch: 2n, fetches: [coming], prefetches });
  await b.plan.remake();
  await a.plan.remake();
  expect(b.plan.assignedTo("a1")).toMatchObject({ digest });
  expect(given(a)).toEqual([]);
});

test("what has come a moment ago is not brought again by who has not heard of it", async () => {
  const { a, b } = await pairOf();
  await a.plan.remake();
  clock.nowMs += 500;
  const holdings = [{ digest, allocatedBytes: GiB, pinned: false, lastUsedAtMs: undefined }];
  a.report("a1", [], { holdings });
  await a.plan.remake();
  expect(given(a)).toEqual([]);
  await b.plan.remake();
  expect(given(b)).toEqual([]);
});

test("a node that tells of an image and still of its prefetch is done with it, and plans go on", async () => {
  const { a } = await pairOf({ choiceShare: 0.001, missesAvertedMin: 0.1 });
  await a.plan.remake();
  clock.nowMs += 500;
  const holdings = [{ digest, allocatedBytes: GiB, pinned: false, lastUsedAtMs: undefined }];
  a.report("a1", [], { holdings, prefetches: [{ digest, prefetchId: "", error: undefined }] });
  await a.plan.remake();
  expect(given(a)).toEqual(["a2"]);
});
