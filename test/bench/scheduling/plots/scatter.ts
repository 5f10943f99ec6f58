/** The paper's Figures 11 and 13: each VM's seconds over its arrival, a chart a scenario. */
import { axisOf, gridsOf, gridTitle, legendOf, logSecondsAxis, svgOf, titleOf } from "../../swarm/plots/chart.ts";
import type { Report } from "../report.ts";
import { foundStates, groupsOf, type RunResult, type VmRecord } from "../results.ts";
import { foundStyles } from "./scenario-style.ts";
import { settingOf } from "./setting.ts";

const widthPx = 1_000;
const topPx = 132;
const chartHeightPx = 190;
/** What is answered sooner is shown here. */
const leastSeconds = 0.01;

/** SVG text. */
export function scatterPlot(report: Report, vmsPerHour: number): string {
  const groups = groupsOf(report.runs.filter((run) => run.vmsPerHour === vmsPerHour));
  const { grids, heightPx } = gridsOf(groups.length, topPx, chartHeightPx, widthPx);
  const endSeconds = Math.ceil((report.hours * 3_600) / report.timeScale);
  const all = groups.flat().flatMap((run) => run.vms.map(shownSeconds));
  const seeds = groups[0]?.length ?? 0;
  const traces = seeds === 1 ? "one trace" : `${seeds} traces`;
  return svgOf(
    {
      title: [
        titleOf(
          `${vmsPerHour} VMs an hour: seconds from a VM's request to its image ready, by arrival`,
          `${settingOf(report)}. ${traces[0]!.toUpperCase()}${traces.slice(1)}.`,
        ),
        ...groups.map(([run], index) => gridTitle(run!.scenario, grids[index]!)),
      ],
      legend: { ...legendOf(9), icon: undefined, data: [...foundStates] },
      grid: grids,
      xAxis: groups.map((_, gridIndex) => ({
        gridIndex,
        type: "value",
        min: 0,
        max: endSeconds,
        ...axisOf("arrival, seconds", 30),
        splitLine: { show: false },
      })),
      yAxis: groups.map((_, gridIndex) => ({ gridIndex, ...logSecondsAxis("seconds (log scale)", 44, all) })),
      series: groups.flatMap((runs, index) => foundStates.map((found) => pointsOf(runs, found, index))),
    },
    { widthPx, heightPx },
  );
}

/** A logarithm needs more than 0. */
function shownSeconds({ seconds }: VmRecord): number {
  return Math.max(leastSeconds, Number(seconds.toFixed(3)));
}

function pointsOf(runs: RunResult[], found: (typeof foundStates)[number], index: number) {
  const { colour, symbol } = foundStyles[found];
  return {
    type: "scatter",
    name: found,
    xAxisIndex: index,
    yAxisIndex: index,
    symbol,
    symbolSize: 6,
    itemStyle: { color: colour, opacity: 0.7 },
    data: runs.flatMap(({ vms }) =>
      vms.filter((vm) => vm.found === found).map((vm) => [vm.atSeconds, shownSeconds(vm)]),
    ),
  };
}
