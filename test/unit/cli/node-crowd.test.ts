import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { styleFor } from "../../../cli/style.ts";
import { renderTable } from "../../../cli/table.ts";
import { holderSections, nodeSections } from "../../../cli/views/node-crowd.ts";
import { FetchState } from "../../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import { NodeHoldingSchema, NodeState, NodeStatusSchema } from "../../../proto/gen/bootswarm/seeder/v1/inventory_pb.js";

const style = styleFor({ write: () => true, isTTY: false, columns: 80, rows: 24 }, {});
const nodes = (count: number, zones: number) =>
  Array.from({ length: count }, (_, index) =>
    create(NodeStatusSchema, {
      node: {
        id: `id-${index}`,
        name: `node-${String(index).padStart(4, "0")}`,
        zone: `rack-${index % zones}`,
        cacheBytes: 2n ** 30n,
      },
      state: index % 500 === 7 ? NodeState.LOST : NodeState.UP,
      images: 50,
      fetchesActive: index % 200 === 3 ? 2 : 0,
      fetchesQueued: index === 203 ? 5 : 0,
    }),
  );
const linesOf = (sections: ReturnType<typeof nodeSections>) =>
  sections.flatMap(({ title, table }) => [
    ...(title === undefined ? [] : [title]),
    ...renderTable(table, { width: 100, style }),
  ]);

test("few nodes are listed one by one", () => {
  const sections = nodeSections(nodes(100, 3), 0, "none");
  expect(sections).toHaveLength(1);
  expect(sections[0]?.table.rows).toHaveLength(100);
});

test("two thousand nodes are summed up by zone, with the lost and the busiest by name", () => {
  const lines = linesOf(nodeSections(nodes(2_000, 8), 0, "none"));
  expect(lines.length).toBeLessThan(40);
  expect(lines[0]).toBe("2,000 nodes by zone");
  expect(lines.join("\n")).toMatch(/rack-7 +250 +248 +2 +50.0 +0 +0 +250 GiB/);
  expect(lines.join("\n")).toMatch(/all +2,000 +1,996 +4 +50.0 +20 +5 /);
  expect(lines.join("\n")).toMatch(/Lost: 4\nNODE.*\nnode-0007 +lost/);
  expect(lines.join("\n")).toMatch(/Fetching: 10\nNODE.*\nnode-0203 /);
});

test("many zones share a line", () => {
  const lines = linesOf(nodeSections(nodes(2_000, 400), 0, "none"));
  expect(lines.length).toBeLessThan(65);
  expect(lines.join("\n")).toMatch(/371 others +1,855 /);
});

test("of thousands that have an image the first are shown, and of those that fetch it", () => {
  const holders = Array.from({ length: 3_000 }, (_, index) =>
    create(NodeHoldingSchema, {
      nodeName: `node-${index}`,
      nodeState: NodeState.UP,
      ...(index < 2_000 ? { holding: {} } : { fetch: { state: FetchState.ACTIVE, sizeBytes: 10n, doneBytes: 5n } }),
    }),
  );
  const lines = linesOf(holderSections(holders, 0, "none"));
  expect(lines.length).toBeLessThan(60);
  expect(lines[0]).toBe("Have it: 25 of 2,000");
  expect(lines.join("\n")).toContain("Fetch it: 25 of 1,000");
});
