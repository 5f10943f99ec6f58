/** Per scenario: what leaves the seeder's interface, second by second. */
import { type RunResult, scenarioOf } from "../results.ts";
import {
  axisOf,
  colourOf,
  gridsOf,
  gridTitle,
  labelOf,
  legendOf,
  limitColour,
  referenceLine,
  svgOf,
  titleOf,
} from "./chart.ts";

const widthPx = 1_000;
const chartHeightPx = 200;
const topPx = 128;

export function seederTrafficPlot(scenarios: RunResult[][], setting: string, linkBitsPerSecond: number): string {
  const { grids, heightPx } = gridsOf(scenarios.length, topPx, chartHeightPx, widthPx);
  const linkMbit = linkBitsPerSecond / 1e6;
  const option = {
    title: [
      titleOf("What the seeder sends", `${setting}. Everything that leaves its interface, mean of each second.`),
      ...scenarios.map((runs, index) => gridTitle(`${scenarioOf(runs[0]!)}${beyondNote(runs)}`, grids[index]!)),
    ],
    legend: legendOf(4),
    grid: grids,
    xAxis: scenarios.map((runs, gridIndex) => ({
      gridIndex,
      type: "value",
      min: 0,
      max: shownSecondsOf(runs),
      ...axisOf("seconds", 30),
    })),
    yAxis: scenarios.map((_, gridIndex) => ({
      gridIndex,
      type: "value",
      min: 0,
      max: linkMbit * 1.25,
      interval: linkMbit / 4,
      ...axisOf("Mbit/s", 44),
    })),
    series: scenarios.flatMap((runs, index) => [
      ...runs.map((run) => lineOf(run, index)),
      {
        type: "line",
        name: "link rate",
        xAxisIndex: index,
        yAxisIndex: index,
        color: limitColour,
        lineStyle: { type: "dashed", width: 1.5 },
        symbol: "none",
        data: [],
        markLine: referenceLine("yAxis", linkMbit),
      },
    ]),
  };
  return svgOf(option, { widthPx, heightPx });
}

function lineOf(run: RunResult, index: number) {
  const data = run.seederSentBytes.map((bytes, second) => [second, (bytes * 8) / 1e6]);
  return {
    type: "line",
    name: labelOf(run.contender),
    xAxisIndex: index,
    yAxisIndex: index,
    symbol: "none",
    step: "end",
    color: colourOf(run.contender),
    lineStyle: { width: 2 },
    areaStyle: { opacity: 0.1 },
    clip: true,
    data: [...data, [run.seederSentBytes.length, 0]],
  };
}

/** HTTP takes so much longer that the others would not be seen: it is shown for as long as they need, and half as much. */
function shownSecondsOf(runs: RunResult[]): number {
  const lengths = runs.map((run) => run.seederSentBytes.length).sort((one, other) => one - other);
  const others = lengths.slice(0, -1);
  const wanted = Math.min(lengths.at(-1)!, 1.5 * (others.at(-1) ?? lengths.at(-1)!));
  const step = [5, 10, 20, 50, 100].find((each) => wanted <= 6 * each) ?? 200;
  return Math.ceil(wanted / step) * step;
}

function beyondNote(runs: RunResult[]): string {
  const shown = shownSecondsOf(runs);
  const beyond = runs.filter((run) => run.seederSentBytes.length > shown);
  const notes = beyond.map((run) => `${labelOf(run.contender)} goes on to ${run.seederSentBytes.length} s`);
  return notes.length === 0 ? "" : ` (${notes.join(", ")})`;
}
