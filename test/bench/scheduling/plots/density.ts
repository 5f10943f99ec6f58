/** The paper's Figures 12 and 14: kernel density of the VMs' seconds, a chart a rate. */

import { quantile } from "../../statistics.ts";
import { axisOf, gridsOf, gridTitle, legendOf, svgOf, titleOf } from "../../swarm/plots/chart.ts";
import { densityCurve, silvermanBandwidth } from "../density.ts";
import type { Report } from "../report.ts";
import { groupsOf, type RunResult } from "../results.ts";
import { colourOf } from "./scenario-style.ts";
import { settingOf } from "./setting.ts";

const widthPx = 1_000;
const topPx = 150;
const chartHeightPx = 320;
const steps = 300;
/** What few VMs waited longer than is not shown: it would make everything else narrow. */
const shownShare = 0.99;

/** SVG text. */
export function densityPlot(report: Report): string {
  const rates = [...Map.groupBy(report.runs, (run) => run.vmsPerHour)].sort(([one], [other]) => one - other);
  const { grids, heightPx } = gridsOf(rates.length, topPx, chartHeightPx, widthPx);
  const scenarios = [...new Set(report.runs.map((run) => run.scenario))];
  const charts = rates.map(([vmsPerHour, runs]) => ({ vmsPerHour, runs, ...commonOf(runs) }));
  return svgOf(
    {
      title: [
        titleOf("Density of the seconds from a VM's request to its image ready", settingOf(report)),
        ...charts.map(({ vmsPerHour, bandwidth }, index) =>
          gridTitle(`${vmsPerHour} VMs an hour (Gaussian kernel, bandwidth ${bandwidth.toFixed(2)} s)`, grids[index]!),
        ),
      ],
      legend: { ...legendOf(4), data: scenarios },
      grid: grids,
      xAxis: charts.map(({ toSeconds }, gridIndex) => ({
        ...{ gridIndex, type: "value", min: 0, max: toSeconds, ...axisOf("seconds", 30) },
        splitLine: { show: false },
      })),
      yAxis: charts.map((_, gridIndex) => ({ gridIndex, type: "value", min: 0, ...axisOf("density", 44) })),
      series: charts.flatMap(({ runs, bandwidth, toSeconds }, index) =>
        groupsOf(runs).map((some) => ({
          type: "line",
          name: some[0]!.scenario,
          xAxisIndex: index,
          yAxisIndex: index,
          symbol: "none",
          color: colourOf(some[0]!.scenario, scenarios.indexOf(some[0]!.scenario)),
          lineStyle: { width: 2, type: some[0]!.scenario.endsWith("default") ? [6, 4] : "solid" },
          data: densityCurve(secondsOf(some), bandwidth, toSeconds, steps),
        })),
      ),
    },
    { widthPx, heightPx },
  );
}

/** One bandwidth for all scenarios of a rate, from all of their VMs: otherwise the narrowest would tower over the others. */
function commonOf(runs: RunResult[]): { bandwidth: number; toSeconds: number } {
  const seconds = secondsOf(runs);
  return { bandwidth: silvermanBandwidth(seconds), toSeconds: Math.ceil(quantile(seconds, shownShare)) };
}

function secondsOf(runs: RunResult[]): number[] {
  return runs.flatMap((run) => run.vms.map((vm) => vm.seconds));
}
