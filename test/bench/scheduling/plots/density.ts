/** The paper's Figures 12 and 14: kernel density of the VMs' seconds, and of their logarithm; a column a rate. */
import { quantile } from "../../statistics.ts";
import { axisOf, gridsOf, gridTitle, legendOf, svgOf, titleOf } from "../../swarm/plots/chart.ts";
import { densityCurve, foldedAtZero, plain, silvermanBandwidth } from "../density.ts";
import type { Report } from "../report.ts";
import { groupsOf, type RunResult } from "../results.ts";
import { colourOf } from "./scenario-style.ts";
import { settingOf } from "./setting.ts";

const widthPx = 1_000;
const topPx = 132;
const chartHeightPx = 240;
const steps = 400;
/** What few VMs waited longer than is not shown over seconds: it would make everything else narrow. */
const shownShare = 0.95;
/** What is answered sooner counts as this: a logarithm needs more than 0. */
const leastSeconds = 0.01;

interface Chart {
  title: string;
  runs: RunResult[];
  /** Of a VM's seconds, what the density is of. */
  figureOf: (seconds: number) => number;
  from: number;
  to: number;
  isLog: boolean;
}

/** SVG text. */
export function densityPlot(report: Report): string {
  const rates = [...Map.groupBy(report.runs, (run) => run.vmsPerHour)].sort(([one], [other]) => one - other);
  const charts = [...rates.map(linearChart), ...rates.map(logChart)];
  const { grids, heightPx } = gridsOf(charts.length, topPx, chartHeightPx, widthPx);
  const scenarios = [...new Set(report.runs.map((run) => run.scenario))];
  return svgOf(
    {
      title: [
        titleOf("Density of the seconds from a VM's request to its image ready", settingOf(report)),
        ...charts.map((chart, index) => gridTitle(`${chart.title} (${kernelOf(chart)})`, grids[index]!)),
      ],
      legend: { ...legendOf(4), itemGap: 22, data: scenarios },
      grid: grids,
      xAxis: charts.map((chart, gridIndex) => ({ gridIndex, ...xAxisOf(chart) })),
      yAxis: charts.map(({ isLog }, gridIndex) => ({
        ...{ gridIndex, type: "value", min: 0 },
        ...axisOf(isLog ? "density, per decade" : "density, per second", 44),
        axisLine: { show: true, onZero: false, lineStyle: { color: "#888888" } },
      })),
      series: charts.flatMap((chart, index) =>
        groupsOf(chart.runs).map((runs) => curveOf(chart, runs, index, scenarios)),
      ),
    },
    { widthPx, heightPx },
  );
}

function linearChart([vmsPerHour, runs]: [number, RunResult[]]): Chart {
  const to = Math.ceil(quantile(secondsOf(runs), shownShare) / 5) * 5;
  return { title: `${vmsPerHour} VMs an hour`, runs, figureOf: (seconds) => seconds, from: 0, to, isLog: false };
}

function logChart([vmsPerHour, runs]: [number, RunResult[]]): Chart {
  const figureOf = (seconds: number) => Math.log10(Math.max(seconds, leastSeconds));
  const to = Math.ceil(figureOf(Math.max(...secondsOf(runs))));
  return { title: `${vmsPerHour}, log scale`, runs, figureOf, from: figureOf(0), to, isLog: true };
}

/** One bandwidth for all scenarios of a rate, from all of their VMs: otherwise the narrowest would tower over the others. */
function bandwidthOf({ runs, figureOf }: Chart): number {
  return silvermanBandwidth(secondsOf(runs).map(figureOf));
}

function kernelOf(chart: Chart): string {
  return `Gaussian kernel, bandwidth ${bandwidthOf(chart).toFixed(2)} ${chart.isLog ? "decades" : "s"}`;
}

function xAxisOf({ from, to, isLog }: Chart) {
  const axis = axisOf(isLog ? "seconds (log scale)" : "seconds", 30);
  const powers = { ...axis.axisLabel, formatter: (power: number) => String(10 ** power) };
  return {
    ...{ type: "value", min: from, max: to, ...axis },
    ...(isLog ? { interval: 1, axisLabel: powers } : { splitLine: { show: false } }),
  };
}

function curveOf(chart: Chart, runs: RunResult[], index: number, scenarios: string[]) {
  const { scenario } = runs[0]!;
  const values = secondsOf(runs).map(chart.figureOf);
  const sample = chart.isLog ? plain(values) : foldedAtZero(values);
  return {
    ...{ type: "line", name: scenario, xAxisIndex: index, yAxisIndex: index, symbol: "none" },
    color: colourOf(scenario, scenarios.indexOf(scenario)),
    lineStyle: { width: 2, type: scenario.endsWith("default") ? [6, 4] : "solid" },
    data: densityCurve(sample, bandwidthOf(chart), { from: chart.from, to: chart.to, steps }),
  };
}

function secondsOf(runs: RunResult[]): number[] {
  return runs.flatMap((run) => run.vms.map((vm) => vm.seconds));
}
