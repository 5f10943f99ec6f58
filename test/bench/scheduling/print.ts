import { markdownTable } from "../markdown-table.ts";
import type { Summary } from "./results.ts";

const columns: [head: string, cell: (summary: Summary) => string][] = [
  ["VMs/h", (each) => String(each.vmsPerHour)],
  ["scenario", (each) => each.scenario],
  ["VMs", (each) => `${each.vms}${each.turnedAway > 0 ? ` (${each.turnedAway} turned away)` : ""}`],
  ["mean s", (each) => each.mean.toFixed(2) + rangeOf(each)],
  ["p50", (each) => each.p50.toFixed(2)],
  ["p90", (each) => each.p90.toFixed(2)],
  ["p99", (each) => each.p99.toFixed(2)],
  ["max", (each) => each.max.toFixed(2)],
  ["cached %", (each) => each.foundPercent.cached.toFixed(0)],
  ["in flight %", (each) => each.foundPercent["in flight"].toFixed(0)],
  ["absent %", (each) => each.foundPercent.absent.toFixed(0)],
  ["seeder sent / image", (each) => each.seederImagesSent.toFixed(1)],
  ["copies at the end", (each) => each.copiesAtEnd.toFixed(0)],
  ["hosts used", (each) => each.hostsUsed.toFixed(0)],
  ["VMs on one host", (each) => String(each.vmsOnOneHost)],
  ["own CPU %", (each) => each.machineOwnPercent.toFixed(0)],
  ["idle %", (each) => each.machineIdlePercent.toFixed(0)],
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

function rangeOf({ seeds, meanRange: [least, most] }: Summary): string {
  return seeds > 1 ? ` (${least.toFixed(2)}-${most.toFixed(2)})` : "";
}
