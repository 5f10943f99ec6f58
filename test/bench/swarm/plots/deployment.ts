/** Per scenario and contender: from the first image ready on any node, over the mean, to the last. */
import type { CustomSeriesRenderItemAPI, CustomSeriesRenderItemParams } from "echarts";
import type { Summary } from "../summary.ts";
import {
  axisOf,
  colourOf,
  labelOf,
  legendOf,
  limitColour,
  logSecondsAxis,
  svgOf,
  textColour,
  titleOf,
} from "./chart.ts";

const widthPx = 900;
const rowPx = 26;
const edgePx = { top: 108, bottom: 64, left: 130, right: 130 };

/** One scenario's row of one contender: its scenario, and times in seconds. */
type Row = [scenario: number, first: number, mean: number, all: number, limit: number];

export function deploymentPlot(summaries: Summary[], setting: string): string {
  const scenarios = [...new Set(summaries.map((each) => each.scenario))];
  const contenders = [...new Set(summaries.map((each) => each.contender))];
  const bandPx = (contenders.length + 1) * rowPx;
  const rowsOf = (contender: string): Row[] =>
    summaries
      .filter((each) => each.contender === contender)
      .map((each) => [
        scenarios.indexOf(each.scenario),
        each.firstImageSeconds,
        each.meanSeconds,
        each.allSeconds,
        each.limitSeconds,
      ]);
  const limits = summaries.map((each) => [scenarios.indexOf(each.scenario), each.limitSeconds]);
  const times = summaries.flatMap((each) => [each.firstImageSeconds, each.allSeconds, each.limitSeconds]);
  const option = {
    title: titleOf(
      "Time until images are ready on the nodes",
      `${setting}. From the first ready to the last; the dot is the mean.`,
    ),
    legend: legendOf(8),
    grid: edgePx,
    xAxis: logSecondsAxis("seconds since all nodes asked for all images (log scale)", 34, times),
    yAxis: {
      type: "category",
      data: scenarios,
      inverse: true,
      ...axisOf("", 0),
      axisTick: { show: false },
      axisLabel: {
        fontSize: 12,
        formatter: (name: string) => name.replace(", ", "\n"),
        color: textColour,
        lineHeight: 16,
      },
    },
    series: [
      ...contenders.map((contender, index) => ({
        type: "custom",
        name: labelOf(contender),
        itemStyle: { color: colourOf(contender) },
        encode: { x: [1, 2, 3], y: 0 },
        data: rowsOf(contender),
        renderItem: (_params: CustomSeriesRenderItemParams, api: CustomSeriesRenderItemAPI) =>
          rowItem(api, (index - (contenders.length - 1) / 2) * rowPx, colourOf(contender)),
      })),
      {
        type: "custom",
        name: "limit: images × size / link rate",
        itemStyle: { color: limitColour },
        encode: { x: 1, y: 0 },
        data: limits,
        renderItem: (_params: CustomSeriesRenderItemParams, api: CustomSeriesRenderItemAPI) =>
          limitItem(api, bandPx / 2 - 6),
        z: 1,
      },
    ],
  };
  return svgOf(option, { widthPx, heightPx: edgePx.top + edgePx.bottom + scenarios.length * bandPx });
}

/** The bar, its dot, and the last time with its ratio to the limit. */
function rowItem(api: CustomSeriesRenderItemAPI, offsetPx: number, colour: string) {
  const [scenario, first, mean, all, limit] = [0, 1, 2, 3, 4].map((index) => Number(api.value(index))) as Row;
  const at = (seconds: number) => api.coord([seconds, scenario]) as [number, number];
  const [fromPx, middlePx] = at(first);
  const [meanPx] = at(mean);
  const [toPx] = at(all);
  const yPx = middlePx + offsetPx;
  const text = `${shortSeconds(all)} s  (${(all / limit).toFixed(2)} × limit)`;
  return {
    type: "group" as const,
    children: [
      {
        type: "rect" as const,
        shape: { x: fromPx, y: yPx - 4, width: Math.max(toPx - fromPx, 2), height: 8, r: 3 },
        style: { fill: colour },
      },
      {
        type: "circle" as const,
        shape: { cx: meanPx, cy: yPx, r: 5.5 },
        style: { fill: "#ffffff", stroke: colour, lineWidth: 2.5 },
      },
      {
        type: "text" as const,
        style: { x: toPx + 10, y: yPx, text, fill: textColour, fontSize: 12, textVerticalAlign: "middle" as const },
      },
    ],
  };
}

function limitItem(api: CustomSeriesRenderItemAPI, halfPx: number) {
  const [xPx, yPx] = api.coord([api.value(1), api.value(0)]) as [number, number];
  return {
    type: "line" as const,
    shape: { x1: xPx, x2: xPx, y1: yPx - halfPx, y2: yPx + halfPx },
    style: { stroke: limitColour, lineWidth: 2, lineDash: [4, 3] },
  };
}

function shortSeconds(seconds: number): string {
  return seconds.toFixed(seconds < 100 ? 1 : 0);
}
