/** What a flash crowd takes by the length of its pieces: a chart for each size of crowd, and one of what comes in. */
import { median } from "../statistics.ts";
import { axisOf, gridTitle, referenceLine, svgOf, titleOf } from "../swarm/plots/chart.ts";
import type { PiecesReport } from "./pieces.ts";

const widthPx = 1_080;
const heightPx = 424;
const topPx = 124;
const chartHeightPx = 224;
const gapPx = 62;
const colours = ["#0072b2", "#009e73", "#e69f00", "#cc79a7"];

type Run = PiecesReport["runs"][number];

interface Chart {
  name: string;
  runs: readonly Run[];
  figure: (run: Run) => number;
}

/** SVG text. */
export function piecesPlot(report: PiecesReport): string {
  const charts = chartsOf(report);
  const chartWidthPx = (widthPx - 56 - 24 - gapPx * (charts.length - 1)) / charts.length;
  const grids = charts.map((_, index) => ({
    left: 56 + index * (chartWidthPx + gapPx),
    top: topPx,
    width: chartWidthPx,
    height: chartHeightPx,
  }));
  const { linkMbit, seeds } = report.crowd;
  const setting =
    `One seed, links of ${linkMbit} Mbit/s each way; production code in simulated time, medians of ${seeds.length} run(s).\n` +
    "The limit (dashed) is the image over one link. Large marks: the length that an image of this size is given.";
  const option = {
    title: [
      titleOf("A flash crowd by the length of its pieces", setting),
      ...charts.map(({ name }, index) => gridTitle(name, grids[index]!)),
    ],
    grid: grids,
    xAxis: charts.map((_, gridIndex) => piecesAxis(gridIndex, report.crowd.piecesKib)),
    yAxis: charts.map((_, gridIndex) => ({
      ...{ gridIndex, type: "value", min: 1, boundaryGap: [0, "12%"], splitNumber: 4 },
      ...axisOf("", 0),
    })),
    series: charts.flatMap((chart, index) => seriesOf(chart, index, report)),
  };
  return svgOf(option, { widthPx, heightPx });
}

function chartsOf({ crowd, runs }: PiecesReport): Chart[] {
  const largest = Math.max(...crowd.nodes);
  const slowest = crowd.nodes.map((nodes) => ({
    name: `${nodes} nodes: slowest over the limit`,
    runs: runs.filter((run) => run.nodes === nodes),
    figure: (run: Run) => run.slowestOverLimit,
  }));
  const received = runs.filter((run) => run.nodes === largest);
  return [
    ...slowest,
    { name: `${largest} nodes: received over the image`, runs: received, figure: (run) => run.receivedOverImage },
  ];
}

function piecesAxis(gridIndex: number, piecesKib: readonly number[]) {
  const axis = axisOf("KiB in a piece", 34);
  const customValues = [...piecesKib];
  return {
    ...{ gridIndex, type: "log", logBase: 2, ...axis },
    min: Math.min(...piecesKib) / 1.2,
    max: Math.max(...piecesKib) * 1.2,
    axisTick: { customValues },
    axisLabel: { ...axis.axisLabel, customValues, formatter: (kib: number) => String(Math.round(kib)) },
    splitLine: { show: false },
  };
}

function seriesOf({ runs, figure }: Chart, index: number, { crowd, chosenKib }: PiecesReport) {
  return crowd.imagesMib.map((imageMib, order) => {
    const points = crowd.piecesKib.flatMap((pieceKib) => {
      const figures = runs.filter((run) => run.imageMib === imageMib && run.pieceKib === pieceKib).map(figure);
      return figures.length > 0 ? [{ pieceKib, figure: median(figures) }] : [];
    });
    const color = colours[order % colours.length]!;
    return {
      type: "line",
      name: `${imageMib} MiB`,
      xAxisIndex: index,
      yAxisIndex: index,
      data: points.map((point, at) => ({
        value: [point.pieceKib, point.figure],
        symbolSize: point.pieceKib === chosenKib[imageMib] ? 13 : 6,
        label: {
          ...{ show: at === points.length - 1, formatter: `${imageMib} MiB`, color, fontSize: 12, distance: 8 },
          position: "left",
        },
      })),
      symbol: "circle",
      lineStyle: { width: 2 },
      itemStyle: { color },
      ...(order === 0 ? { markLine: referenceLine("yAxis", 1) } : {}),
    };
  });
}
