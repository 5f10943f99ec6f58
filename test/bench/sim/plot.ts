/** What a flash crowd costs against its size: three charts over the number of nodes. */
import type { FlashCrowdOptions, FlashCrowdReport } from "../../sim/flash-crowd.ts";
import { axisOf, gridTitle, referenceLine, svgOf, titleOf } from "../swarm/plots/chart.ts";
import type { CrowdRun } from "./measure-crowd.ts";

export interface SimReport {
  date: string;
  machine: string;
  node: string;
  crowd: Omit<FlashCrowdOptions, "nodes" | "onProgress">;
  runs: CrowdRun[];
}

const widthPx = 1_080;
const heightPx = 400;
const topPx = 108;
const chartHeightPx = 220;

interface Line {
  name: string;
  colour: string;
  isDashed?: boolean;
  figure: (run: FlashCrowdReport) => number;
}

const blue = "#0072b2";
const green = "#009e73";

const charts: { name: string; lines: Line[]; reference?: number }[] = [
  {
    name: "Completion over the limit",
    reference: 1,
    lines: [
      { name: "slowest node", colour: blue, figure: (run) => run.slowestOverLimit },
      { name: "median", colour: green, isDashed: true, figure: (run) => run.medianOverLimit },
    ],
  },
  {
    name: "Connections of a node",
    lines: [
      { name: "most loaded node", colour: blue, figure: (run) => run.connectionsMax },
      { name: "mean", colour: green, isDashed: true, figure: (run) => run.connectionsMean },
    ],
  },
  {
    name: "DHT datagrams of a node (by model)",
    lines: [{ name: "mean", colour: green, figure: (run) => run.dht.datagramsPerNode }],
  },
];

/** SVG text. */
export function simPlot({ crowd, runs }: SimReport): string {
  const setting =
    `One seed, ${crowd.imageMib} MiB in ${crowd.pieceKib} KiB pieces, links of ${crowd.linkMbit} Mbit/s each way; ` +
    "production code in simulated time. The limit (dashed) is the image over one link.";
  const gapPx = 66;
  const chartWidthPx = (widthPx - 56 - 24 - 2 * gapPx) / charts.length;
  const grids = charts.map((_, index) => ({
    left: 56 + index * (chartWidthPx + gapPx),
    top: topPx,
    width: chartWidthPx,
    height: chartHeightPx,
  }));
  const option = {
    title: [
      titleOf("A flash crowd as it grows", setting),
      ...charts.map(({ name }, index) => gridTitle(name, grids[index]!)),
    ],
    grid: grids,
    xAxis: charts.map((_, gridIndex) => nodesAxis(gridIndex, runs)),
    yAxis: charts.map((_, gridIndex) => ({
      gridIndex,
      type: "value",
      min: 0,
      boundaryGap: [0, "12%"],
      splitNumber: 4,
      ...axisOf("", 0),
    })),
    series: charts.flatMap(({ lines, reference }, index) =>
      lines.map((line, order) => ({
        ...seriesOf(line, index, runs),
        ...(order === 0 && reference !== undefined ? { markLine: referenceLine("yAxis", reference) } : {}),
      })),
    ),
  };
  return svgOf(option, { widthPx, heightPx });
}

function nodesAxis(gridIndex: number, runs: SimReport["runs"]) {
  const sizes = runs.map(({ nodes }) => nodes);
  const axis = axisOf("nodes", 34);
  const decades = [10, 100, 1_000, 10_000].filter((size) => size >= Math.min(...sizes) && size <= Math.max(...sizes));
  return {
    ...{ gridIndex, type: "log", ...axis },
    min: Math.min(...sizes) / 1.25,
    max: Math.max(...sizes) * 1.25,
    axisTick: { customValues: decades },
    axisLabel: { ...axis.axisLabel, customValues: decades, formatter: (size: number) => size.toLocaleString("en") },
    splitLine: { show: false },
  };
}

function seriesOf({ name, colour, isDashed, figure }: Line, index: number, runs: SimReport["runs"]) {
  // Each line is named where it is clear of the others.
  const labelled = Math.floor(runs.length * 0.6);
  return {
    type: "line",
    name,
    xAxisIndex: index,
    yAxisIndex: index,
    data: runs.map((run, at) => ({
      value: [run.nodes, figure(run)],
      label: {
        ...{ show: at === labelled, formatter: name, color: colour, fontSize: 12, distance: 8 },
        ...(isDashed ? { position: "bottom", align: "left" } : { position: "top", align: "right" }),
      },
    })),
    symbol: "circle",
    symbolSize: 6,
    lineStyle: { width: 2, type: isDashed ? [6, 4] : "solid" },
    itemStyle: { color: colour },
  };
}
