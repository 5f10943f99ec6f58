import "../../fixtures/property-seed.ts";
import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { expect, test } from "vitest";
import { FetchSchema, FetchState } from "../../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import type { NodeFacts, NodeReport, SharedNode } from "../../../seeder/inventory/facts.ts";
import { Inventory } from "../../../seeder/inventory/inventory.ts";
import { LaunchIds } from "../../../seeder/placement/launch-ids.ts";
import { Placement, type WeighRequest } from "../../../seeder/placement/placement.ts";
import { reasonOf, reasonText } from "../../../seeder/placement/reasons.ts";
import { RecentLaunches } from "../../../seeder/placement/recent-launches.ts";
import { plainWeights } from "../../fixtures/plain-weighing.ts";

const [image, bootImage, other] = ["a", "b", "c"].map((letter) => letter.repeat(64)) as [string, string, string];
const ids = Array.from({ length: 8 }, (_, index) => `id-${index}`);
/** Few, so that there are twins, and names of one node by which another is known, too. */
const names = ["one", "one.example.org", "two.a.org", "two.b.org", "Three", "id-7"];
const hostsAsked = [...ids, ...names, "ONE", "two", "three.example.org", "nobody"];

const fetch = fc.record({
  digest: fc.constantFrom(image, image, bootImage, other, "d".repeat(64)),
  state: fc.constantFrom(FetchState.ACTIVE, FetchState.QUEUED, FetchState.PAUSED),
  doneBytes: fc.bigInt({ min: 0n, max: 100n }),
  etaSeconds: fc.option(fc.nat(300), { nil: undefined }),
});
const told = fc.record({
  id: fc.constantFrom(...ids),
  name: fc.constantFrom(...names),
  zone: fc.constantFrom("rack-1", "rack-2"),
  held: fc.subarray([image, bootImage, other]),
  fetches: fc.uniqueArray(fetch, { selector: ({ digest }) => digest, maxLength: 4 }),
  reportIntervalMs: fc.constantFrom(2_000, 60_000),
  elsewhere: fc.boolean(),
});
const event = fc.oneof(
  { weight: 6, arbitrary: fc.record({ told }) },
  fc.record({ forgotten: fc.constantFrom(...ids) }),
  fc.record({ launchedOn: fc.constantFrom(...ids), digest: fc.constantFrom(image, other), count: fc.nat(5) }),
  fc.record({ heard: fc.constant(true) }),
);
const question = fc.record({
  hosts: fc.oneof(fc.constant([]), fc.uniqueArray(fc.constantFrom(...hostsAsked))),
  zone: fc.constantFrom("", "", "rack-1"),
  bootDigest: fc.option(fc.constant(bootImage), { nil: undefined }),
  options: fc.record({
    cacheMultiplier: fc.constantFrom(0, 1, 5),
    spreadMultiplier: fc.constantFrom(0, 2),
    hotLaunches: fc.constant(3),
    countInFlight: fc.boolean(),
    inFlightHalfSeconds: fc.constant(30),
    bootImageWorth: fc.constant(0.5),
  }),
  seed: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  count: fc.nat(6),
});

type Told = typeof told extends fc.Arbitrary<infer T> ? T : never;

/** Takes a report in as it would come here, or be told by another seeder. */
function tell(inventory: Inventory, { held, fetches, elsewhere, ...node }: Told, sequence: bigint, nowMs: number) {
  const holdings = held.map((digest) => ({ digest, allocatedBytes: 5, pinned: false, lastUsedAtMs: undefined }));
  const facts = { apiUrl: "", version: "", cacheBytes: 0, diskFreeBytes: 0, diskSizeBytes: 0, ...node } as NodeFacts;
  const report = {
    node: facts,
    epoch: 1n,
    sequence,
    fetches: fetches.map((each) => create(FetchSchema, { sizeBytes: 100n, ...each })),
  };
  if (elsewhere) {
    const leaseMs = 3 * node.reportIntervalMs;
    const shared: SharedNode = { ...report, reportedAtMs: nowMs, leaseMs, peer: undefined, seederId: "other" };
    inventory.learn(shared, { all: holdings }, true, nowMs);
    return;
  }
  inventory.report({ ...report, full: true, holdings, removedDigests: [] } as unknown as NodeReport, nowMs);
}

test("hosts are weighed as their definition says, whatever was reported, renamed, forgotten and launched before", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(event, question, fc.integer({ min: 1_000, max: 9_000 })), { maxLength: 15 }),
      (steps) => {
        let nowMs = 0;
        let sequence = 0n;
        const inventory = new Inventory();
        const launches = new RecentLaunches(60_000);
        const launchIds = new LaunchIds();
        const placement = new Placement({
          inventory,
          launches,
          recentLaunches: launches,
          launchIds,
          nowMs: () => nowMs,
        });
        for (const [event, asked, elapsedMs] of steps) {
          nowMs += elapsedMs;
          if ("told" in event) tell(inventory, event.told, ++sequence, nowMs);
          else if ("forgotten" in event) inventory.forget(event.forgotten);
          else if ("heard" in event) inventory.heard(nowMs);
          else
            launches.record({
              digest: event.digest,
              nodeId: event.launchedOn,
              atMs: nowMs,
              count: event.count,
              launchId: "",
            });
          const request: WeighRequest = { digest: image, ...asked };
          const plain = plainWeights(inventory.nodes(nowMs), request, launches, nowMs);
          const { told, size, counts, hostAt, nodeAt, weighedAt } = placement.weigh(request);
          const places = Array.from({ length: told }, (_, place) => {
            const { facts, score, weight } = weighedAt(place);
            const node = nodeAt(place);
            const text = node && reasonText(facts);
            return { host: hostAt(place), nodeId: node?.id, reason: reasonOf(facts), text, score, weight };
          });
          expect(places).toEqual(plain.slice(0, asked.count || plain.length));
          expect(size).toBe(plain.length);
          expect(Object.values(counts).reduce((sum, count) => sum + count, 0)).toBe(size);
          for (const { reason } of plain) expect(counts[reason as keyof typeof counts]).toBeGreaterThan(0);
        }
      },
    ),
  );
});
