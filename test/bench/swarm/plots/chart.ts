/** What all plots look like, and their way to SVG. */
import { BarChart, CustomChart, LineChart, ScatterChart } from "echarts/charts";
import { GridComponent, LegendComponent, MarkLineComponent, TitleComponent } from "echarts/components";
import { type EChartsCoreOption, init, use } from "echarts/core";
import { SVGRenderer } from "echarts/renderers";

use([
  BarChart,
  CustomChart,
  LineChart,
  ScatterChart,
  GridComponent,
  LegendComponent,
  MarkLineComponent,
  TitleComponent,
  SVGRenderer,
]);

/** Told apart by people who see fewer colours too (Okabe and Ito). */
const colours: Record<string, string> = {
  bootswarm: "#0072b2",
  unzoned: "#56b4e9",
  libtorrent: "#e69f00",
  http: "#8a8a8a",
};
export const limitColour = "#c0392b";
export const textColour = "#222222";
const otherColour = "#009e73";
const labels: Record<string, string> = { http: "HTTP" };
const font = { fontFamily: "Helvetica, Arial, 'DejaVu Sans', sans-serif", color: textColour };

export function colourOf(contender: string): string {
  return colours[contender] ?? otherColour;
}

export function labelOf(contender: string): string {
  return labels[contender] ?? contender;
}

export interface Size {
  widthPx: number;
  heightPx: number;
}

/** Draws a chart. */
export function svgOf(option: EChartsCoreOption, { widthPx, heightPx }: Size): string {
  const chart = init(null, null, { renderer: "svg", ssr: true, width: widthPx, height: heightPx });
  try {
    chart.setOption({ animation: false, backgroundColor: "#ffffff", textStyle: font, ...option });
    return chart.renderToSVGString();
  } finally {
    chart.dispose();
  }
}

export function titleOf(text: string, subtext: string) {
  return {
    text,
    subtext,
    left: 16,
    top: 12,
    itemGap: 6,
    textStyle: { ...font, fontSize: 16, fontWeight: "bold" },
    subtextStyle: { ...font, fontSize: 12, color: "#555555" },
  };
}

export function legendOf(itemHeightPx: number) {
  return {
    icon: "roundRect",
    top: 64,
    left: 16,
    itemWidth: 20,
    itemHeight: itemHeightPx,
    itemGap: 30,
    selectedMode: false,
  };
}

/** Values at which a log axis is marked. */
const logSteps = [-3, -2, -1, 0, 1, 2, 3, 4].flatMap((power) => [1, 2, 5].map((digit) => digit * 10 ** power));

/** A logarithmic axis of seconds, from a step at or below the least value to one at or above the greatest. */
export function logSecondsAxis(name: string, gapPx: number, values: number[]) {
  const min = logSteps.findLast((step) => step <= Math.min(...values)) ?? logSteps[0]!;
  const max = logSteps.find((step) => step >= Math.max(...values)) ?? logSteps.at(-1)!;
  const customValues = logSteps.filter((step) => step >= min && step <= max);
  const axis = axisOf(name, gapPx);
  return {
    type: "log",
    min,
    max,
    ...axis,
    axisTick: { customValues },
    axisLabel: { ...axis.axisLabel, customValues, formatter: (value: number) => String(Number(value.toPrecision(1))) },
  };
}

/** The name of an axis, in its middle. */
export function axisOf(name: string, gapPx: number) {
  return {
    name,
    nameLocation: "middle",
    nameGap: gapPx,
    nameTextStyle: { ...font, fontSize: 12 },
    axisLabel: { ...font, fontSize: 12 },
    axisLine: { show: true, lineStyle: { color: "#888888" } },
    splitLine: { lineStyle: { color: "#e6e6e6" } },
  };
}

/** Where each of several small charts lies, and its title: two in a row. */
export function gridsOf(count: number, topPx: number, chartHeightPx: number, widthPx: number) {
  const perRow = Math.min(count, 2);
  const gapPx = { left: 70, between: 76, right: 30, row: 96 };
  const chartWidthPx = (widthPx - gapPx.left - gapPx.right - gapPx.between * (perRow - 1)) / perRow;
  const grids = Array.from({ length: count }, (_, index) => ({
    left: gapPx.left + (index % perRow) * (chartWidthPx + gapPx.between),
    top: topPx + Math.floor(index / perRow) * (chartHeightPx + gapPx.row),
    width: chartWidthPx,
    height: chartHeightPx,
  }));
  return { grids, heightPx: topPx + Math.ceil(count / perRow) * (chartHeightPx + gapPx.row) - gapPx.row + 64 };
}

export function gridTitle(text: string, grid: { left: number; top: number }) {
  return { text, left: grid.left - 6, top: grid.top - 28, textStyle: { ...font, fontSize: 13, fontWeight: "bold" } };
}

/** A dashed line across a chart at a value. */
export function referenceLine(axis: "xAxis" | "yAxis", value: number) {
  return {
    silent: true,
    symbol: "none",
    lineStyle: { color: limitColour, type: "dashed", width: 1.5 },
    label: { show: false },
    data: [{ [axis]: value }],
  };
}
