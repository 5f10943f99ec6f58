/** Boots by policy: seconds over the number of VMs, what the disk read for them, and seconds beside noisy neighbours. */
import { axisOf, gridsOf, gridTitle, legendOf, svgOf, titleOf } from "../swarm/plots/chart.ts";
import type { ReportFile } from "./report.ts";
import type { Summary } from "./results.ts";
import { type Policy, policies } from "./vm-host.ts";

const widthPx = 1_000;
const topPx = 132;
const chartHeightPx = 220;

const styles: Record<Policy, { colour: string; symbol: string }> = {
  "all at once": { colour: "#8a8a8a", symbol: "circle" },
  "one, then others": { colour: "#e69f00", symbol: "triangle" },
  prefetching: { colour: "#009e73", symbol: "rect" },
  "boot image": { colour: "#0072b2", symbol: "diamond" },
};

interface Chart {
  title: string;
  rows: Summary[];
  x: (row: Summary) => number;
  xName: string;
  y: (row: Summary) => number;
  yName: string;
}

/** SVG text. */
export function policiesPlot({ summary, disk, guestSeconds }: ReportFile): string {
  const quiet = summary.filter(({ noise }) => noise === 0);
  const same = quiet.filter(({ images }) => images === "same");
  // One VM is the same either way.
  const distinct = quiet.filter(({ images, vms }) => images === "distinct" || vms === 1);
  const noisy = summary.filter(({ vms, images }) => vms === 1 && images === "same");
  const vms = { x: (row: Summary) => row.vms, xName: "VMs" };
  const seconds = { y: (row: Summary) => row.allSeconds, yName: "seconds" };
  const bytes = { y: (row: Summary) => row.diskMegabytes, yName: "MB" };
  const charts: Chart[] = [
    { title: "All VMs up, one image", rows: same, ...vms, ...seconds },
    { title: "All VMs up, an image each", rows: distinct, ...vms, ...seconds },
    { title: "Read from the disk, one image", rows: same, ...vms, ...bytes },
    { title: "Read from the disk, an image each", rows: distinct, ...vms, ...bytes },
    {
      title: "One VM beside noisy neighbours",
      rows: noisy,
      x: (row: Summary) => row.noise,
      xName: "neighbours",
      ...seconds,
    },
  ].filter(({ rows }) => rows.length > 0);
  if (charts.length === 0) return svgOf({}, { widthPx, heightPx: topPx });
  const { grids, heightPx } = gridsOf(charts.length, topPx, chartHeightPx, widthPx);
  const setting =
    `Replays of a real Debian boot (${guestSeconds} s of its own) from a disk of ${disk.readsPerSecond} reads/s and ` +
    `${disk.bytesPerSecond / 1e6} MB/s. Medians; bars: all rounds.`;
  return svgOf(
    {
      title: [
        titleOf("Booting from a slow disk, by policy", setting),
        ...charts.map(({ title }, index) => gridTitle(title, grids[index]!)),
      ],
      legend: { ...legendOf(8), data: [...policies] },
      grid: grids,
      xAxis: charts.map(({ rows, x, xName }, gridIndex) => ({
        gridIndex,
        type: "category",
        data: [...new Set(rows.map(x))].sort((one, other) => one - other).map(String),
        ...axisOf(xName, 30),
        axisTick: { show: false },
      })),
      yAxis: charts.map(({ yName }, gridIndex) => ({ gridIndex, type: "value", min: 0, ...axisOf(yName, 44) })),
      series: charts.flatMap((chart, index) => policies.flatMap((policy) => seriesOf(policy, chart, index))),
    },
    { widthPx, heightPx },
  );
}

function seriesOf(policy: Policy, { rows, x, y, yName }: Chart, index: number) {
  const { colour, symbol } = styles[policy];
  const own = rows.filter((row) => row.policy === policy).toSorted((one, other) => x(one) - x(other));
  const axes = { xAxisIndex: index, yAxisIndex: index };
  const line = {
    ...{ type: "line", name: policy, ...axes, symbol, symbolSize: 8 },
    data: own.map((row) => [String(x(row)), y(row)]),
    lineStyle: { width: 2 },
    itemStyle: { color: colour },
  };
  const spreads = (yName === "seconds" ? own : []).map((row) => ({
    ...{ type: "line", ...axes, symbol: "none", silent: true, lineStyle: { width: 1, color: colour } },
    data: row.allSecondsRange.map((seconds) => [String(x(row)), seconds]),
  }));
  return [line, ...spreads];
}
