/** Per scenario: how many VM requests have their image, over time. */
import { type RunResult, requestsPerNode, scenarioOf } from "../results.ts";
import {
  axisOf,
  colourOf,
  gridsOf,
  gridTitle,
  labelOf,
  legendOf,
  limitColour,
  logSecondsAxis,
  referenceLine,
  svgOf,
  titleOf,
} from "./chart.ts";

const widthPx = 1_000;
const chartHeightPx = 220;
const topPx = 128;

export function readyPlot(scenarios: RunResult[][], setting: string): string {
  const { grids, heightPx } = gridsOf(scenarios.length, topPx, chartHeightPx, widthPx);
  const option = {
    title: [
      titleOf(
        "VM requests whose image is ready",
        `${setting}. ${requestsPerNode} requests on each node, spread evenly over the images.`,
      ),
      ...scenarios.map(([run], index) =>
        gridTitle(`${scenarioOf(run!)} (limit ${run!.limitSeconds.toFixed(0)} s)`, grids[index]!),
      ),
    ],
    legend: legendOf(4),
    grid: grids,
    xAxis: scenarios.map((runs, gridIndex) => ({
      gridIndex,
      ...logSecondsAxis("seconds (log scale)", 32, secondsIn(runs)),
    })),
    yAxis: scenarios.map(([run], gridIndex) => ({
      gridIndex,
      type: "value",
      min: 0,
      max: run!.nodes * requestsPerNode,
      interval: (run!.nodes * requestsPerNode) / 4,
      ...axisOf("VM requests ready", 44),
    })),
    series: scenarios.flatMap((runs, index) => [...runs.map((run) => lineOf(run, index)), limitOf(runs[0]!, index)]),
  };
  return svgOf(option, { widthPx, heightPx });
}

function lineOf(run: RunResult, index: number) {
  const seconds = run.readySeconds.map((ready) => ready.seconds).sort((one, other) => one - other);
  const requestsEach = requestsPerNode / run.images;
  const first: [number, number] = [seconds[0]!, 0];
  const points = seconds.map((at, count): [number, number] => [at, (count + 1) * requestsEach]);
  return {
    type: "line",
    name: labelOf(run.contender),
    xAxisIndex: index,
    yAxisIndex: index,
    step: "end",
    symbol: "none",
    color: colourOf(run.contender),
    lineStyle: { width: 2.5 },
    data: [first, ...points],
  };
}

function limitOf({ limitSeconds }: RunResult, index: number) {
  return {
    type: "line",
    name: "limit: images × size / link rate",
    xAxisIndex: index,
    yAxisIndex: index,
    color: limitColour,
    lineStyle: { type: "dashed", width: 1.5 },
    symbol: "none",
    data: [],
    markLine: referenceLine("xAxis", limitSeconds),
  };
}

function secondsIn(runs: RunResult[]): number[] {
  return runs.flatMap((run) => [run.limitSeconds, ...run.readySeconds.map((ready) => ready.seconds)]);
}
