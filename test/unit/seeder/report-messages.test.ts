import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { Problem } from "../../../daemon/problem.ts";
import { FetchState } from "../../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import { ReportRequestSchema } from "../../../proto/gen/bootswarm/seeder/v1/inventory_pb.js";
import { NodePrefetchState } from "../../../proto/gen/bootswarm/seeder/v1/prefetch_pb.js";
import { nodeReportFrom } from "../../../seeder/api/report-messages.ts";
import { holdingsPerNodeMax } from "../../../seeder/inventory/limits.ts";

const digest = "a".repeat(64);
const node = { id: "n-1", name: "web", reportIntervalMs: 1_000, diskFreeBytes: 5n };
type Fields = Extract<MessageInitShape<typeof ReportRequestSchema>, { $typeName?: never }>;
const read = (fields: Fields, from?: string) =>
  nodeReportFrom(create(ReportRequestSchema, { node, epoch: 1n, sequence: 1n, ...fields }), from);

test("a report is read", () => {
  const holding = { digest, allocatedBytes: 9n, pinned: true, lastUsedAt: timestampFromMs(1_234) };
  expect(read({ full: true, holdings: [holding] })).toMatchObject({
    node: { id: "n-1", name: "web", diskFreeBytes: 5, reportIntervalMs: 1_000 },
    full: true,
    holdings: [{ digest, allocatedBytes: 9, pinned: true, lastUsedAtMs: 1_234 }],
  });
});

test("a node serves peers at the address from which it reports, if it says a port", () => {
  expect(read({ node: { ...node, peerPort: 7_411 } }, "10.0.0.1").peer).toEqual({ host: "10.0.0.1", port: 7_411 });
  expect(read({ node: { ...node, peerPort: 7_411 } }).peer).toBeUndefined();
  expect(read({}, "10.0.0.1").peer).toBeUndefined();
  expect(() => read({ node: { ...node, peerPort: 70_000 } }, "10.0.0.1")).toThrow(/peer_port/);
});

test("a node without a name is called by its id", () => {
  expect(read({ node: { ...node, name: "" } }).node.name).toBe("n-1");
});

test("fetches that have ended are not in the inventory", () => {
  const fetches = [FetchState.ACTIVE, FetchState.READY, FetchState.FAILED, FetchState.QUEUED].map((state) => ({
    digest,
    state,
  }));
  expect(read({ fetches }).fetches.map(({ state }) => state)).toEqual([FetchState.ACTIVE, FetchState.QUEUED]);
});

test("a fetch's long texts are cut, not refused", () => {
  const fetches = [{ digest, state: FetchState.ACTIVE, error: "x".repeat(100_000), activity: "y".repeat(100_000) }];
  expect(read({ fetches }).fetches[0]).toMatchObject({ error: "x".repeat(1_024), activity: "y".repeat(1_024) });
});

test("why a prefetch failed is text that every database takes", () => {
  const prefetches = [{ digest, prefetchId: "p", state: NodePrefetchState.FAILED, error: "dis\0k" }];
  expect(read({ prefetches }).prefetches).toMatchObject([{ error: "disk" }]);
});

test.each([
  ["without a node", { node: undefined }, /node:/],
  ["with an id of odd characters", { node: { ...node, id: "a/b" } }, /node.id/],
  ["with a long id", { node: { ...node, id: "a".repeat(129) } }, /node.id/],
  ["with a long name", { node: { ...node, name: "a".repeat(256) } }, /node.name/],
  ["with an interval of nothing", { node: { ...node, reportIntervalMs: 0 } }, /report_interval_ms/],
  ["with an interval of days", { node: { ...node, reportIntervalMs: 4_000_000_000 } }, /report_interval_ms/],
  ["with sizes that no disk has", { node: { ...node, cacheBytes: 2n ** 63n } }, /cache_bytes/],
  ["before the first", { sequence: 0n }, /sequence/],
  ["with a digest in capitals", { holdings: [{ digest: "A".repeat(64) }] }, /holdings.digest/],
  ["removing no digest", { removedDigests: ["x"] }, /removed_digests/],
  ["with too many holdings", { holdings: Array(holdingsPerNodeMax + 1).fill({ digest }) }, /entries are more than/],
  ["fetching no digest", { fetches: [{ digest: "", state: FetchState.ACTIVE }] }, /fetches.digest/],
])("a report %s is refused", (_what, fields, message) => {
  expect(() => read(fields)).toThrow(message);
  expect(() => read(fields)).toThrow(Problem);
});
