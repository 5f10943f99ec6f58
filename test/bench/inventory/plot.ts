/** What nodes saw of a seeder through its ends and returns: one column for each store, its time going down three charts. */
import { axisOf, gridTitle, svgOf, titleOf } from "../swarm/plots/chart.ts";
import type { InventoryReport, Moment, Run } from "./results.ts";

const widthPx = 1_200;
const topPx = 120;
const chartHeightPx = 150;
const rowGapPx = 62;
const leftPx = 76;
const betweenPx = 96;
const rightPx = 24;

const names: Record<string, string> = { sqlite: "SQLite", postgres: "PostgreSQL" };
const killColour = "#c0392b";

interface Row {
  name: string;
  colour: string;
  scale: "value" | "log";
  figure: (moment: Moment) => number | null;
  max?: (report: InventoryReport) => number;
}

const rows: readonly Row[] = [
  {
    name: "reports answered per second",
    colour: "#0072b2",
    scale: "value",
    figure: ({ answeredPerSecond }) => answeredPerSecond,
  },
  {
    name: "p99 of the answers, ms",
    colour: "#d55e00",
    scale: "log",
    figure: ({ reportMsP99 }) => reportMsP99,
  },
  {
    name: "nodes of which all is known",
    colour: "#009e73",
    scale: "value",
    figure: ({ known }) => known,
    max: ({ nodes }) => nodes,
  },
];

/** SVG text. */
export function inventoryPlot(report: InventoryReport): string {
  const { nodes, shape, runs } = report;
  const chartWidthPx = (widthPx - leftPx - rightPx - betweenPx * (runs.length - 1)) / runs.length;
  const panels = runs.flatMap((run, column) =>
    rows.map((row, line) => ({
      run,
      row,
      isLast: line === rows.length - 1,
      grid: {
        left: leftPx + column * (chartWidthPx + betweenPx),
        top: topPx + line * (chartHeightPx + rowGapPx),
        width: chartWidthPx,
        height: chartHeightPx,
      },
    })),
  );
  const setting =
    `${nodes.toLocaleString("en")} nodes with ${shape.holdings} images each, a report every ${shape.intervalMs / 1_000} s. ` +
    "Dashed: SIGKILL; the seeder is started again 2 s later.";
  const option = {
    title: [
      titleOf("One seeder and all its nodes", setting),
      ...panels.map(({ run, row, grid }) => gridTitle(`${names[run.store] ?? run.store}: ${row.name}`, grid)),
    ],
    grid: panels.map(({ grid }) => grid),
    xAxis: panels.map(({ run, isLast }, gridIndex) => ({
      ...axisOf(isLast ? "seconds" : "", 30),
      gridIndex,
      type: "value",
      min: 0,
      max: Math.ceil(run.timeline.at(-1)?.seconds ?? 1),
      splitLine: { show: false },
    })),
    yAxis: panels.map(({ row }, gridIndex) => ({
      ...axisOf("", 0),
      gridIndex,
      type: row.scale,
      ...(row.scale === "value" ? { min: 0, max: row.max?.(report) } : { min: 1, max: 10_000 }),
    })),
    series: panels.map(({ run, row }, index) => ({
      type: "line",
      xAxisIndex: index,
      yAxisIndex: index,
      // Seconds that stand alone make no line.
      symbol: "circle",
      symbolSize: 2.5,
      color: row.colour,
      lineStyle: { width: 1.8, color: row.colour },
      data: run.timeline.map((moment) => [moment.seconds, row.figure(moment)]),
      markLine: killsOf(run, row === rows[0]),
    })),
  };
  return svgOf(option, { widthPx, heightPx: topPx + rows.length * (chartHeightPx + rowGapPx) });
}

/** Where the seeder was killed, and in the uppermost chart what became of its database. */
function killsOf({ recoveries }: Run, isNamed: boolean) {
  return {
    silent: true,
    symbol: "none",
    lineStyle: { color: killColour, type: "dashed", width: 1.2 },
    data: recoveries.map(({ database, killedAtSeconds }) => ({
      xAxis: killedAtSeconds,
      label: {
        show: isNamed,
        formatter: `database ${database}`,
        color: killColour,
        fontSize: 11,
        position: "insideEnd",
        rotate: 0,
        align: "left",
        verticalAlign: "top",
        padding: [2, 0, 0, 6],
      },
    })),
  };
}
