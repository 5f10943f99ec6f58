import { expect, test } from "vitest";
import type { NodeReport } from "../../../seeder/inventory/facts.ts";
import { NodeReports } from "../../../seeder/prefetch/node-reports.ts";

test("of a node that reports to another seeder by now, nothing of what it told here counts, until it is back", () => {
  const elsewhere = new Set<string>();
  const reports = new NodeReports((id) => elsewhere.has(id));
  const allowance = { enabled: true, budgetBytes: 10, usedBytes: 1, roomBytes: 9 };
  const told = { digest: "d".repeat(64), prefetchId: "", error: "" };
  const report = { node: { id: "n" }, prefetch: allowance, prefetches: [told] } as unknown as NodeReport;
  reports.take(report);
  expect(reports.of("n")).toMatchObject({ allowance });
  expect([reports.has("n"), reports.of("n").prefetches.size]).toEqual([true, 1]);
  elsewhere.add("n");
  expect([reports.has("n"), reports.of("n").allowance, reports.of("n").prefetches.size]).toEqual([false, undefined, 0]);
  elsewhere.delete("n");
  expect(reports.of("n")).toMatchObject({ allowance });
});
