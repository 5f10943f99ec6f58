/** Hit rates over Zipf's exponent, with and without prefetching, for a scheduler that knows caches and one that does not. */
import { axisOf, gridTitle, legendOf, svgOf, titleOf } from "../swarm/plots/chart.ts";
import type { Figures } from "./replay.ts";

export const cases = [
  { name: "cache-aware, with prefetch", scheduler: "cache-aware", prefetch: true },
  { name: "cache-aware", scheduler: "cache-aware", prefetch: false },
  { name: "random, with prefetch", scheduler: "random", prefetch: true },
  { name: "random", scheduler: "random", prefetch: false },
] as const;

export type CaseName = (typeof cases)[number]["name"];

export interface PrefetchReport {
  date: string;
  machine: string;
  node: string;
  setting: {
    nodes: number;
    images: number;
    launches: number;
    launchesPerHour: number;
    cacheShare: number;
    launchesPerRelease: number;
    halfLifeHours: number;
    seeds: number;
  };
  runs: { skew: number; cases: Record<CaseName, Figures[]> }[];
}

const widthPx = 1_000;
const topPx = 132;
const chart = { top: topPx, width: 410, height: 300 };

const styles: Record<CaseName, { color: string; type: "solid" | number[] }> = {
  "cache-aware, with prefetch": { color: "#0072b2", type: "solid" },
  "cache-aware": { color: "#0072b2", type: [6, 4] },
  "random, with prefetch": { color: "#e69f00", type: "solid" },
  random: { color: "#e69f00", type: [6, 4] },
};

const measures = [
  { title: "Launches that found their image", left: 60, figureOf: (figures: Figures) => figures.hitRate },
  { title: "Launches that had to wait", left: 560, figureOf: (figures: Figures) => 1 - figures.hitRate },
];

/** SVG text. */
export function prefetchPlot({ setting, runs }: PrefetchReport): string {
  const { nodes, images, launches, launchesPerRelease, cacheShare, halfLifeHours, seeds } = setting;
  const text =
    `${nodes} nodes, each with room for ${cacheShare * 100} % of ${images} images' bytes; ${launches.toLocaleString("en")} launches, one image superseded every ${launchesPerRelease};\n` +
    `half-life of popularity ${halfLifeHours} h; mean of ${seeds} seeds; on the right a logarithmic scale`;
  // Its marks are the lines as they are drawn.
  const { icon: _icon, ...legend } = legendOf(2);
  const option = {
    title: [
      titleOf("Hit rate with and without prefetching", text),
      ...measures.map(({ title, left }) => gridTitle(title, { left, top: topPx })),
    ],
    legend: { ...legend, top: 72, itemWidth: 34, data: cases.map(({ name }) => name) },
    grid: measures.map(({ left }) => ({ left, ...chart })),
    xAxis: measures.map((_, gridIndex) => ({
      ...{ gridIndex, type: "value", min: 0.7, max: 1.2, interval: 0.1, ...axisOf("Zipf's exponent", 34) },
      splitLine: { show: false },
    })),
    yAxis: measures.map((_, gridIndex) => {
      const axis = axisOf("", 0);
      const range = gridIndex === 0 ? { type: "value", min: 0, max: 100 } : { type: "log", min: 1, max: 100 };
      return { gridIndex, ...range, ...axis, axisLabel: { ...axis.axisLabel, formatter: "{value} %" } };
    }),
    series: measures.flatMap(({ figureOf }, index) =>
      cases.map(({ name }) => ({
        ...{ type: "line", name, xAxisIndex: index, yAxisIndex: index, symbol: "circle", symbolSize: 6 },
        data: runs.map((run) => [run.skew, meanOf(run.cases[name].map(figureOf)) * 100]),
        lineStyle: { width: 2, ...styles[name] },
        itemStyle: { color: styles[name].color },
      })),
    ),
  };
  return svgOf(option, { widthPx, heightPx: topPx + chart.height + 70 });
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, each) => sum + each, 0) / values.length;
}
