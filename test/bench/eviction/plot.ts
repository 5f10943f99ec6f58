/** Hit rates over the cache's size: a row of charts a workload, by launches and by bytes. */
import { axisOf, gridTitle, legendOf, svgOf, titleOf } from "../swarm/plots/chart.ts";
import { type PolicyName, policies } from "./replay.ts";
import type { Workload } from "./trace.ts";

/** A figure for each seed. */
export interface Figures {
  hitRates: number[];
  byteHitRates: number[];
}

export interface EvictionReport {
  date: string;
  machine: string;
  node: string;
  seeds: number;
  workloads: (Workload & { runs: { share: number; policies: Record<PolicyName, Figures> }[] })[];
}

const widthPx = 1_000;
const topPx = 132;
const chartHeightPx = 220;
const rowGapPx = 96;
const leftPx = 60;
const betweenPx = 70;
const rightPx = 24;

const styles: Record<PolicyName, { colour: string; dash: "solid" | number[] }> = {
  bootswarm: { colour: "#0072b2", dash: "solid" },
  LRU: { colour: "#e69f00", dash: [6, 4] },
  LFU: { colour: "#8a8a8a", dash: [2, 3] },
};

const measures = [
  { name: "launches that found their image", rates: (figures: Figures) => figures.hitRates },
  { name: "bytes that need not come", rates: (figures: Figures) => figures.byteHitRates },
];

/** SVG text. */
export function evictionPlot({ seeds, workloads }: EvictionReport): string {
  const { images, launches, skew } = workloads[0]!;
  const chartWidthPx = (widthPx - leftPx - rightPx - betweenPx) / 2;
  const charts = workloads.flatMap((workload, row) =>
    measures.map((measure, column) => ({
      workload,
      measure,
      title: `${capital(workload.name)}: ${measure.name}`,
      left: leftPx + column * (chartWidthPx + betweenPx),
      top: topPx + row * (chartHeightPx + rowGapPx),
      width: chartWidthPx,
      height: chartHeightPx,
    })),
  );
  const setting =
    `${images} images of 60 MiB to 30 GiB, ${launches.toLocaleString("en")} launches by Zipf's law (exponent ${skew}), ` +
    `a quarter to warm up; mean of ${seeds} seeds, bars: all of them.`;
  const option = {
    title: [titleOf("Evicting by worth, by last use (LRU) and by frequency (LFU)", setting), ...charts.map(titled)],
    legend: { ...legendOf(2), data: [...policies] },
    grid: charts.map(({ left, top, width, height }) => ({ left, top, width, height })),
    xAxis: charts.map((_, gridIndex) => sizeAxis(gridIndex)),
    yAxis: charts.map((_, gridIndex) => rateAxis(gridIndex)),
    series: charts.flatMap(({ workload, measure }, index) =>
      policies.flatMap((policy) => seriesOf(policy, index, workload.runs, measure.rates)),
    ),
  };
  return svgOf(option, { widthPx, heightPx: topPx + workloads.length * (chartHeightPx + rowGapPx) - 20 });
}

function titled({ title, left, top }: { title: string; left: number; top: number }) {
  return gridTitle(title, { left, top });
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

function sizeAxis(gridIndex: number) {
  const axis = axisOf("cache, in % of all images' bytes", 34);
  const marks = [2.5, 5, 10, 20, 40];
  return {
    ...{ gridIndex, type: "log", min: 2.2, max: 45, ...axis },
    axisTick: { customValues: marks },
    axisLabel: { ...axis.axisLabel, customValues: marks },
    splitLine: { show: false },
  };
}

function rateAxis(gridIndex: number) {
  const axis = axisOf("", 0);
  return {
    ...{ gridIndex, type: "value", min: 0, max: 100, splitNumber: 5, ...axis },
    axisLabel: { ...axis.axisLabel, formatter: "{value} %" },
  };
}

type Runs = EvictionReport["workloads"][number]["runs"];

function seriesOf(policy: PolicyName, index: number, runs: Runs, rates: (figures: Figures) => number[]) {
  const { colour, dash } = styles[policy];
  const axes = { xAxisIndex: index, yAxisIndex: index };
  const points = runs.map((run) => ({
    size: run.share * 100,
    percents: rates(run.policies[policy]).map((r) => r * 100),
  }));
  const line = {
    ...{ type: "line", name: policy, ...axes, symbol: "circle", symbolSize: 6 },
    data: points.map(({ size, percents }) => [size, percents.reduce((sum, each) => sum + each, 0) / percents.length]),
    lineStyle: { width: 2, type: dash },
    itemStyle: { color: colour },
  };
  const spreads = points.map(({ size, percents }) => ({
    ...{ type: "line", ...axes, symbol: "none", silent: true },
    data: [
      [size, Math.min(...percents)],
      [size, Math.max(...percents)],
    ],
    lineStyle: { width: 1, color: colour },
  }));
  return [line, ...spreads];
}
