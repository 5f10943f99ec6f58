/** Throughput over qemu-nbd's, a group of bars for each load, and the latency that 99 of 100 random reads keep to. */
import type { CustomSeriesRenderItem } from "echarts";
import { median, rounded } from "../statistics.ts";
import { axisOf, gridTitle, legendOf, referenceLine, svgOf, titleOf } from "../swarm/plots/chart.ts";
import type { NbdReport } from "./report.ts";
import { type Contender, contenders } from "./servers.ts";

const widthPx = 1_200;
const heightPx = 750;
const grids = [
  { left: 70, top: 140, width: 1_100, height: 210 },
  { left: 70, top: 480, width: 1_100, height: 200 },
] as const;
/** Beside the plain file, the servers' bars would be too small to tell apart: it is in the labels. */
const servers = contenders.filter((contender) => contender !== "file");
type Server = (typeof servers)[number];
const colours: Record<Server, string> = { bootswarm: "#0072b2", "qemu-nbd": "#8a8a8a", nbdkit: "#e69f00" };
const gaps = { barGap: "20%", barCategoryGap: "35%" };

const titles = {
  warm: "NBD servers, the file in memory",
  cold: "NBD servers, the file on disk only",
  fetching: "NBD servers while an agent fetches",
};

/** SVG text. */
export function nbdPlot(report: NbdReport): string {
  const { rows, condition, mib, rounds, fetchedMbPerSecond } = report;
  const random = rows.filter(({ p99Us }) => p99Us.bootswarm.length > 0);
  const overQemu = (row: NbdReport["rows"][number], values: number[]) => {
    const base = median(row.figures["qemu-nbd"]);
    return values.map((value) => value / base);
  };
  const throughput = rows.map((row) => (contender: Contender) => overQemu(row, row.figures[contender]));
  const latency = random.map((row) => (contender: Contender) => row.p99Us[contender]);
  const file = condition === "cold" ? "not in the page cache" : "in the page cache";
  const beside = condition === "fetching" ? `, beside an agent's three fetches (${fetchedMbPerSecond} MB/s)` : "";
  const setting = `A file of ${mib} MiB ${file}, over a Unix socket${beside}; medians of ${rounds} rounds, lines: all of them. ${report.machine}.`;
  const labels = rows.map(({ name, unit, figures }) => {
    const ours = median(figures.bootswarm);
    const overFile = rounded(ours / median(figures.file));
    const load = name.replace(", ", "\n").replace("deep, ", "deep,\n");
    return `${load}\n${Math.round(ours).toLocaleString("en")} ${unit},\n${overFile} of the plain file's`;
  });
  const option = {
    title: [
      titleOf(titles[condition], setting),
      gridTitle("Throughput over qemu-nbd's (figures: bootswarm's)", grids[0]),
      gridTitle("Latency that 99 of 100 random reads keep to, microseconds", grids[1]),
    ],
    legend: { ...legendOf(12), data: servers },
    grid: [...grids],
    xAxis: [labels, random.map(({ name }) => name.replace(", ", "\n"))].map((data, gridIndex) => ({
      ...{ gridIndex, type: "category", data, ...axisOf("", 0) },
      splitLine: { show: false },
    })),
    yAxis: [0, 1].map((gridIndex) => ({ gridIndex, type: "value", min: 0, ...axisOf("", 0) })),
    series: [...seriesOf(0, throughput), ...seriesOf(1, latency)],
  };
  return svgOf(option, { widthPx, heightPx });
}

type GroupOfBars = (contender: Contender) => number[];

function seriesOf(grid: number, groups: readonly GroupOfBars[]) {
  const axes = { xAxisIndex: grid, yAxisIndex: grid };
  const bars = servers.map((contender) => ({
    ...{ type: "bar", name: contender, ...axes, ...gaps },
    data: groups.map((group) => median(group(contender))),
    itemStyle: { color: colours[contender] },
    ...(grid === 0 && contender === "bootswarm" && { markLine: referenceLine("yAxis", 1) }),
  }));
  const spreads = servers.map((contender, bar) => ({
    ...{ type: "custom", ...axes, silent: true, z: 5, encode: { x: 0, y: [1, 2] }, renderItem: spreadLine(bar) },
    data: groups.map((group, index) => [index, Math.min(...group(contender)), Math.max(...group(contender))]),
  }));
  return [...bars, ...spreads];
}

/** A line from the least to the greatest, over a bar. */
function spreadLine(bar: number): CustomSeriesRenderItem {
  return (_, api) => {
    const layout = api.barLayout?.({ ...gaps, count: servers.length })?.[bar];
    const [x = 0, low = 0] = api.coord([api.value(0), api.value(1)]);
    const [, high = 0] = api.coord([api.value(0), api.value(2)]);
    const at = x + (layout?.offsetCenter ?? 0);
    return { type: "line", shape: { x1: at, y1: low, x2: at, y2: high }, style: { stroke: "#222222", lineWidth: 1.5 } };
  };
}
