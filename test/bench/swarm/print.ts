import { markdownTable } from "../markdown-table.ts";
import type { Summary } from "./summary.ts";

type Column = [head: string, cell: (summary: Summary) => string];

const columns: Column[] = [
  ["scenario", (each) => each.scenario],
  ["contender", (each) => each.contender],
  ["limit s", (each) => each.limitSeconds.toFixed(1)],
  ["first image s", (each) => each.firstImageSeconds.toFixed(1)],
  ["first node s", (each) => each.firstNodeSeconds.toFixed(1)],
  ["mean s", (each) => each.meanSeconds.toFixed(1)],
  ["all s", (each) => each.allSeconds.toFixed(1) + spreadOf(each)],
  ["first / limit", (each) => each.firstOverLimit.toFixed(2)],
  ["all / limit", (each) => each.allOverLimit.toFixed(2)],
  ["seeder sent / images", (each) => each.seederPayloadOverImages.toFixed(2)],
  ["by HTTP", (each) => each.seederHttpOverImages.toFixed(2)],
  ["on its link", (each) => each.seederLinkOverImages.toFixed(2)],
  ["seeder CPU s", (each) => each.seederCpuSeconds.toFixed(1)],
  ["agent CPU s", (each) => each.nodeCpuSecondsMean.toFixed(2)],
  ["agent MiB (max)", (each) => `${each.nodePeakRssMibMean.toFixed(0)} (${each.nodePeakRssMibMax.toFixed(0)})`],
  ["own CPU %", (each) => each.machineOwnPercent.toFixed(0)],
  ["idle %", (each) => each.machineIdlePercent.toFixed(0)],
];
const zoneColumn: Column = ["between zones / images", (each) => each.zoneLinkOverImages.toFixed(2)];

/** Prints a Markdown table, one scenario and contender a row. */
export function printSummaries(summaries: Summary[]): void {
  const shown = summaries.some((each) => each.zoneLinkOverImages > 0) ? [...columns, zoneColumn] : columns;
  const body = summaries.map((each) => shown.map(([, cell]) => cell(each)));
  console.log(
    markdownTable(
      shown.map(([head]) => head),
      body,
    ),
  );
}

function spreadOf({ rounds, allSecondsRange: [least, most] }: Summary): string {
  return rounds > 1 ? ` (${least.toFixed(1)}-${most.toFixed(1)})` : "";
}
