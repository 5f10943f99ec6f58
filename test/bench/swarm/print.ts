import type { Figures } from "./results.ts";

/** Prints figures as a table, one run a row. */
export function printFigures(figures: Figures[]): void {
  console.table(
    figures.map((run) => ({
      scenario: run.scenario,
      contender: run.contender,
      "limit s": rounded(run.limitSeconds, 1),
      "first image s": rounded(run.firstImageSeconds, 1),
      "first node s": rounded(run.firstNodeSeconds, 1),
      "mean s": rounded(run.meanSeconds, 1),
      "all s": rounded(run.allSeconds, 1),
      "first/limit": rounded(run.firstOverLimit, 2),
      "all/limit": rounded(run.allOverLimit, 2),
      "seeder sent/images": rounded(run.seederPayloadOverImages, 2),
      "by HTTP": rounded(run.seederHttpOverImages, 2),
      "on its link": rounded(run.seederLinkOverImages, 2),
      ...(run.zoneLinkOverImages > 0 ? { "between zones": rounded(run.zoneLinkOverImages, 2) } : {}),
      "seeder CPU s": rounded(run.seederCpuSeconds, 1),
      "agent CPU s": rounded(run.nodeCpuSecondsMean, 1),
      "agent MiB": `${rounded(run.nodePeakRssMibMean, 0)} (max ${rounded(run.nodePeakRssMibMax, 0)})`,
      "own CPU %": rounded(run.machineOwnPercent, 0),
      "idle %": rounded(run.machineIdlePercent, 0),
    })),
  );
}

function rounded(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
