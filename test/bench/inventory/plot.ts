/** Recoveries: nodes of which all is known over the time since the seeder was started again. */
import { axisOf, gridTitle, legendOf, svgOf, titleOf } from "../swarm/plots/chart.ts";
import type { InventoryReport } from "./results.ts";

const widthPx = 1_000;
const topPx = 132;
const chartHeightPx = 260;
const leftPx = 70;
const betweenPx = 90;
const rightPx = 24;

const styles = {
  kept: { colour: "#0072b2", name: "database kept" },
  deleted: { colour: "#d55e00", name: "database deleted" },
};

/** SVG text. */
export function inventoryPlot({ nodes, shape, runs }: InventoryReport): string {
  const chartWidthPx = (widthPx - leftPx - rightPx - betweenPx) / 2;
  const grids = runs.map((_, column) => ({
    left: leftPx + column * (chartWidthPx + betweenPx),
    top: topPx,
    width: chartWidthPx,
    height: chartHeightPx,
  }));
  const setting =
    `${nodes.toLocaleString("en")} nodes with ${shape.holdings} images each, a report every ${shape.intervalMs / 1_000} s; ` +
    "one seeder, SIGKILL, started again after 2 s.";
  const names = { sqlite: "SQLite", postgres: "PostgreSQL" } as Record<string, string>;
  const option = {
    title: [
      titleOf("All nodes report again", setting),
      ...runs.map(({ store }, index) =>
        gridTitle(names[store] ?? store, grids[index] as { left: number; top: number }),
      ),
    ],
    legend: { ...legendOf(2), data: Object.values(styles).map(({ name }) => name) },
    grid: grids,
    xAxis: runs.map((_, gridIndex) => ({
      ...axisOf("seconds since the seeder's start", 34),
      gridIndex,
      type: "value",
      min: 0,
    })),
    yAxis: runs.map((_, gridIndex) => ({
      ...axisOf("nodes of which all is known", 52),
      gridIndex,
      type: "value",
      min: 0,
      max: nodes,
    })),
    series: runs.flatMap(({ recoveries }, index) =>
      recoveries.map(({ database, timeline }) => ({
        name: styles[database].name,
        type: "line",
        xAxisIndex: index,
        yAxisIndex: index,
        symbol: "none",
        color: styles[database].colour,
        lineStyle: { width: 2, color: styles[database].colour },
        data: timeline.map(({ seconds, settled }) => [seconds, settled]),
      })),
    ),
  };
  return svgOf(option, { widthPx, heightPx: topPx + chartHeightPx + 70 });
}
