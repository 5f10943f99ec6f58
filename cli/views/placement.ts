import type { HostCounts, HostWeight } from "../../proto/gen/bootswarm/seeder/v1/placement_pb.js";
import { renderBar } from "../progress.ts";
import { type Style, styleFor } from "../style.ts";
import type { Column, Table } from "../table.ts";

const barWidth = 10;

/** Hosts with their weights and why. With `bars` a bar goes before each weight, with `explain` its figures after it. */
export function hostWeightsTable(
  hosts: readonly HostWeight[],
  { bars, explain }: { bars: Style | undefined; explain: boolean },
): Table {
  const figures: Column[] = explain
    ? [
        { header: "SCORE", align: "right" },
        { header: "CACHE", align: "right" },
        { header: "N(CACHE)", align: "right" },
        { header: "SPREAD", align: "right" },
        { header: "ZONE", dropOrder: 6 },
        { header: "NODE", dropOrder: 7, shrinkTo: 12 },
      ]
    : [];
  return {
    columns: [
      { header: "HOST", shrinkTo: 12 },
      { header: "WEIGHT", align: bars ? "left" : "right", paint: paintBar },
      ...figures,
      { header: "WHY", shrinkTo: 30, paint: paintWhy },
    ],
    rows: hosts.map((host) => [
      host.host,
      bars ? `${renderBar(host.weight, barWidth, bars)} ${percentOf(host.weight).padStart(5)}` : percentOf(host.weight),
      ...(explain ? figuresOf(host) : []),
      whyOf(host.details?.text),
    ]),
  };
}

/** A style without colours: a table paints its cells itself. */
export function plainStyle(env: Record<string, string | undefined>): Style {
  return styleFor({ write: () => {} }, env);
}

/** "24 hosts: 1 cached, 3 on their way, 20 absent". */
export function describeCounts(counts: HostCounts | undefined): string {
  const { cached = 0, inFlight = 0, absent = 0, lost = 0, unknown = 0 } = counts ?? {};
  const all = cached + inFlight + absent + lost + unknown;
  const parts: [number, string][] = [
    [cached, "cached"],
    [inFlight, "on its way"],
    [absent, "absent"],
    [lost, "lost"],
    [unknown, "unknown"],
  ];
  const said = parts.filter(([count]) => count > 0).map(([count, what]) => `${what} on ${count}`);
  return `${all} host${all === 1 ? "" : "s"}${said.length > 0 ? `: ${said.join(", ")}` : ""}`;
}

function figuresOf({ score, details }: HostWeight): string[] {
  return [
    score.toFixed(3),
    (details?.cache ?? 0).toFixed(3),
    (details?.cacheNormalized ?? 0).toFixed(3),
    (details?.spread ?? 0).toFixed(3),
    details?.zone || "-",
    details?.nodeName || "-",
  ];
}

function percentOf(weight: number): string {
  return `${Math.round(weight * 100)} %`;
}

function whyOf(text: string | undefined): string {
  return text || "-";
}

function paintBar(cell: string, style: Style): string {
  const bar = /^[^ ]+(?= )/.exec(cell)?.[0] ?? "";
  return /\d/.test(bar) ? cell : style.cyan(bar) + cell.slice(bar.length);
}

function paintWhy(cell: string, style: Style): string {
  if (cell.startsWith("cached")) return style.green(cell);
  if (/^(on its way|all here|absent, but its boot)/.test(cell)) return style.cyan(cell);
  if (cell.startsWith("lost")) return style.red(cell);
  if (/^(unknown|several|paused)/.test(cell)) return style.yellow(cell);
  return style.dim(cell);
}
