/** Per scenario and contender: how many copies of the images the seeder sent, and its CPU time. */
import type { Summary } from "../summary.ts";
import { axisOf, colourOf, gridsOf, gridTitle, labelOf, legendOf, referenceLine, svgOf, titleOf } from "./chart.ts";

const widthPx = 1_000;
const chartHeightPx = 240;
const topPx = 128;

export function seederCostPlot(summaries: Summary[], setting: string): string {
  const scenarios = [...new Set(summaries.map((each) => each.scenario))];
  const contenders = [...new Set(summaries.map((each) => each.contender))];
  const figureOf = (scenario: string, contender: string, figure: (summary: Summary) => number) => {
    const found = summaries.find((each) => each.scenario === scenario && each.contender === contender);
    return found ? figure(found) : null;
  };
  const charts = [
    {
      name: "copies of the images sent (dashed: one)",
      digits: 2,
      figure: (each: Summary) => each.seederPayloadOverImages,
    },
    { name: "CPU seconds", digits: 1, figure: (each: Summary) => each.seederCpuSeconds },
  ];
  const { grids, heightPx } = gridsOf(charts.length, topPx, chartHeightPx, widthPx);
  const option = {
    title: [
      titleOf("What a distribution costs the seeder", setting),
      ...charts.map(({ name }, index) => gridTitle(name, grids[index]!)),
    ],
    legend: legendOf(8),
    grid: grids,
    xAxis: charts.map((_, gridIndex) => ({
      gridIndex,
      type: "category",
      data: scenarios,
      ...axisOf("", 0),
      axisTick: { show: false },
      axisLabel: { fontSize: 12, interval: 0, lineHeight: 15, formatter: (name: string) => name.replace(", ", "\n") },
    })),
    yAxis: charts.map((_, gridIndex) => ({
      gridIndex,
      type: "value",
      min: 0,
      boundaryGap: [0, "8%"],
      ...axisOf("", 0),
    })),
    series: charts.flatMap(({ digits, figure }, index) =>
      contenders.map((contender, order) => ({
        type: "bar",
        name: labelOf(contender),
        xAxisIndex: index,
        yAxisIndex: index,
        barGap: "12%",
        barCategoryGap: "28%",
        itemStyle: { color: colourOf(contender), borderRadius: [2, 2, 0, 0] },
        label: {
          show: true,
          position: "top",
          fontSize: 11,
          formatter: ({ value }: { value: number }) => shortNumber(value, digits),
        },
        data: scenarios.map((scenario) => figureOf(scenario, contender, figure)),
        ...(index === 0 && order === 0 ? { markLine: referenceLine("yAxis", 1) } : {}),
      })),
    ),
  };
  return svgOf(option, { widthPx, heightPx });
}

function shortNumber(value: number, digits: number): string {
  return value.toFixed(value < 10 ? digits : 1);
}
