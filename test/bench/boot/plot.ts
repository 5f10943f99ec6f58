/** Seconds to READY by case: a chart for each link, and one for several nodes at once. */
import { axisOf, gridsOf, gridTitle, referenceLine, svgOf, titleOf } from "../swarm/plots/chart.ts";
import type { ReportFile } from "./report.ts";
import type { Summary } from "./results.ts";

const widthPx = 1_000;
const topPx = 132;
const barPx = 26;
const ourColour = "#0072b2";
const otherColour = "#9a9a9a";

/** From the top to the bottom; how each is called in the plot. */
const labels: Record<string, string> = {
  local: "local file",
  "boot-image": "bootswarm, boot image here",
  profile: "bootswarm, cold, boot known",
  cold: "bootswarm, cold",
  "nbdkit-curl": "nbdkit, HTTP on demand",
  "nbdkit-torrent": "nbdkit, torrent plugin",
  download: "download, then boot",
};

/** SVG text. */
export function bootPlot({ summary, accelerator, disk }: ReportFile): string {
  const charts = [
    ...Map.groupBy(summary, ({ nodes, processors, link }) => `${nodes} ${processors} ${link}`).values(),
  ].map(chartOf);
  const rowsMax = Math.max(...charts.map(({ rows }) => rows.length));
  const { grids, heightPx } = gridsOf(charts.length, topPx, rowsMax * barPx + 10, widthPx);
  // The bars' names stand to the left of them.
  const namePx = 160;
  const placed = grids.map((grid) => ({ ...grid, left: grid.left + namePx - 20, width: grid.width - namePx }));
  const setting =
    `A Debian VM (${(disk.allocatedBytes / 1e6).toFixed(0)} MB of ${(disk.sizeBytes / 2 ** 30).toFixed(0)} GiB allocated) in QEMU ` +
    `(${accelerator.toUpperCase()}), through GRUB. Medians; whiskers: all rounds; dashed: the local file.${starText(summary)}`;
  return svgOf(
    {
      title: [
        titleOf("From the wish for a VM to its READY line", setting),
        ...charts.map(({ title }, index) => gridTitle(title, placed[index]!)),
      ],
      grid: placed,
      xAxis: charts.map((_, gridIndex) => ({
        gridIndex,
        type: "value",
        min: 0,
        boundaryGap: [0, "16%"],
        ...axisOf("seconds", 30),
      })),
      yAxis: charts.map(({ rows }, gridIndex) => ({
        gridIndex,
        type: "category",
        inverse: true,
        data: rows.map(labelOf),
        ...axisOf("", 0),
        axisTick: { show: false },
      })),
      series: charts.flatMap(({ rows, localSeconds }, index) => seriesOf(rows, localSeconds, index)),
    },
    { widthPx, heightPx },
  );
}

function starText(summary: Summary[]): string {
  const settings = new Set(summary.flatMap(({ agentSettings }) => agentSettings));
  return settings.size > 0 ? `\n* with ${[...settings].join(", ")}` : "";
}

function labelOf(row: Summary): string {
  const label = labels[row.case] ?? row.case;
  return row.agentSettings.length > 0 ? `${label} *` : label;
}

function chartOf(group: Summary[]) {
  const order = Object.keys(labels);
  const rows = group.toSorted((one, other) => order.indexOf(one.case) - order.indexOf(other.case));
  const [{ nodes, processors, link }] = rows as [Summary];
  const guest = processors === 1 ? "1 processor" : `${processors} processors`;
  return {
    title: nodes === 1 ? `${link}, ${guest}` : `${nodes} nodes at once, ${guest}, the seeder's link ${link}`,
    rows,
    localSeconds: rows.find((row) => row.case === "local")?.seconds,
  };
}

function seriesOf(rows: Summary[], localSeconds: number | undefined, index: number) {
  const axes = { xAxisIndex: index, yAxisIndex: index };
  const bars = {
    ...{ type: "bar", ...axes, barWidth: "62%" },
    data: rows.map((row) => ({
      value: row.seconds,
      itemStyle: { color: ["boot-image", "profile", "cold"].includes(row.case) ? ourColour : otherColour },
    })),
    label: {
      show: true,
      // At the bar's foot, where neither a whisker nor the local file's line can be.
      position: "insideLeft",
      color: "#ffffff",
      fontSize: 11,
      formatter: ({ value }: { value: number }) => value.toFixed(1),
    },
    ...(localSeconds === undefined ? {} : { markLine: referenceLine("xAxis", localSeconds) }),
  };
  const whiskers = rows.map((row, at) => ({
    ...{ type: "line", ...axes, symbol: "none", silent: true, lineStyle: { width: 1.5, color: "#222222" } },
    data: row.secondsRange.map((seconds) => [seconds, at]),
  }));
  return [bars, ...whiskers];
}
