import { markdownTable } from "../markdown-table.ts";
import type { Summary } from "./results.ts";

const columns: [head: string, cell: (summary: Summary) => string][] = [
  ["VMs/h", (each) => String(each.vmsPerHour)],
  ["scenario", (each) => each.scenario],
  ["VMs", (each) => `${each.vms}${each.turnedAway > 0 ? ` (${each.turnedAway} turned away)` : ""}`],
  ["mean s", (each) => figure(each.mean, 2) + rangeOf(each)],
  ["p50", (each) => figure(each.p50, 2)],
  ["p90", (each) => figure(each.p90, 2)],
  ["p99", (each) => figure(each.p99, 2)],
  ["max", (each) => figure(each.max, 2)],
  ["cached %", (each) => figure(each.foundPercent.cached, 0)],
  ["in flight %", (each) => figure(each.foundPercent["in flight"], 0)],
  ["absent %", (each) => figure(each.foundPercent.absent, 0)],
  ["seeder sent / image", (each) => figure(each.seederImagesSent, 1)],
  ["copies at the end", (each) => figure(each.copiesAtEnd, 0)],
  ["hosts used", (each) => figure(each.hostsUsed, 0)],
  ["VMs on one host", (each) => figure(each.vmsOnOneHost, 0)],
  ["own CPU %", (each) => figure(each.machineOwnPercent, 0)],
  ["idle %", (each) => figure(each.machineIdlePercent, 0)],
];

/** Prints a Markdown table, one rate and scenario a row, without the columns of those heads. */
export function printSummaries(summaries: Summary[], notShown: readonly string[] = []): void {
  const shown = columns.filter(([head]) => !notShown.includes(head));
  const body = summaries.map((each) => shown.map(([, cell]) => cell(each)));
  console.log(
    markdownTable(
      shown.map(([head]) => head),
      body,
    ),
  );
}

/** Traces without any VM have no such figure. */
function figure(value: number, digits: number): string {
  return Number.isFinite(value) ? value.toFixed(digits) : "-";
}

function rangeOf({ seeds, vms, meanRange: [least, most] }: Summary): string {
  return seeds > 1 && vms > 0 ? ` (${least.toFixed(2)}-${most.toFixed(2)})` : "";
}
