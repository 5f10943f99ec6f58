/** Thousands of nodes on one screen: a line for each zone, and those that want a look. */

import { formatBytes } from "../../figures/units.ts";
import { type NodeHolding, NodeState, type NodeStatus } from "../../proto/gen/bootswarm/seeder/v1/inventory_pb.js";
import type { Section } from "../report.ts";
import type { Table } from "../table.ts";
import { holdersTable, nodesTable } from "./nodes.ts";

/** So many nodes are listed one by one on a terminal; more are summed up. */
export const nodesListedMax = 100;
/** Zones with a line of their own; the others share the last. */
const zonesMax = 30;
/** Nodes shown below the zones, of each kind. */
const notedMax = 10;
const holdersMax = 50;

/** rack-2 before rack-10. */
const byNumber = new Intl.Collator("en", { numeric: true });

/** Nodes in full if they are few, or else summed up by zone. */
export function nodeSections(nodes: readonly NodeStatus[], nowMs: number, ifEmpty: string): Section[] {
  if (nodes.length <= nodesListedMax) return [{ table: nodesTable(nodes, nowMs), ifEmpty }];
  const lost = nodes.filter(({ state }) => state === NodeState.LOST);
  const busiest = nodes.filter((node) => load(node) > 0).sort((a, b) => load(b) - load(a));
  return [
    { title: `${counted(nodes.length)} nodes by zone`, table: zonesTable(nodes) },
    ...noted("lost", lost, nowMs),
    ...noted("fetching", busiest, nowMs),
    hint("--all lists every node; --zone ZONE and --state up or lost list some"),
  ];
}

/** Who has an image, the first of them if they are many. */
export function holderSections(nodes: readonly NodeHolding[], nowMs: number, ifEmpty: string): Section[] {
  if (nodes.length <= nodesListedMax) return [{ table: holdersTable(nodes, nowMs), ifEmpty }];
  const fetching = nodes.filter(({ fetch }) => fetch);
  const holding = nodes.filter(({ holding }) => holding);
  const part = (title: string, some: readonly NodeHolding[], max: number): Section[] =>
    some.length === 0
      ? []
      : [{ title: `${title}: ${shownOf(some.length, max)}`, table: holdersTable(some.slice(0, max), nowMs) }];
  return [
    ...part("Have it", holding, holdersMax - Math.min(fetching.length, holdersMax / 2)),
    ...part("Fetch it", fetching, holdersMax - Math.min(holding.length, holdersMax / 2)),
    hint("--all lists every node"),
  ];
}

/** Said off standard output. */
function hint(text: string): Section {
  return { table: { columns: [], rows: [] }, ifEmpty: text };
}

function noted(what: string, nodes: readonly NodeStatus[], nowMs: number): Section[] {
  if (nodes.length === 0) return [];
  return [
    {
      title: `${capital(what)}: ${shownOf(nodes.length, notedMax)}`,
      table: nodesTable(nodes.slice(0, notedMax), nowMs),
    },
  ];
}

function shownOf(count: number, max: number): string {
  return count <= max ? counted(count) : `${max} of ${counted(count)}`;
}

function zonesTable(nodes: readonly NodeStatus[]): Table {
  const byZone = [...Map.groupBy(nodes, (status) => status.node?.zone ?? "")];
  byZone.sort(([a, some], [b, others]) => others.length - some.length || byNumber.compare(a, b));
  const own = byZone.slice(0, byZone.length > zonesMax ? zonesMax - 1 : zonesMax);
  const rest = byZone.slice(own.length);
  const shared = rest.flatMap(([, some]) => some);
  const rows = own.map(([zone, some]) => zoneRow(zone === "" ? "-" : zone, some));
  if (shared.length > 0) rows.push(zoneRow(`${rest.length} others`, shared));
  return {
    columns: [
      { header: "ZONE", shrinkTo: 12 },
      { header: "NODES", align: "right" },
      { header: "UP", align: "right" },
      { header: "LOST", align: "right", paint: (cell, style) => (/[1-9]/.test(cell) ? style.red(cell) : cell) },
      { header: "IMAGES A NODE", align: "right", dropOrder: 3 },
      { header: "FETCHING", align: "right" },
      { header: "QUEUED", align: "right", dropOrder: 2 },
      { header: "CACHE", align: "right", dropOrder: 1 },
    ],
    rows: rows.length > 1 ? [...rows, zoneRow("all", nodes)] : rows,
  };
}

function zoneRow(zone: string, nodes: readonly NodeStatus[]): string[] {
  const sum = (value: (status: NodeStatus) => number) => nodes.reduce((total, status) => total + value(status), 0);
  const lost = sum(({ state }) => (state === NodeState.LOST ? 1 : 0));
  const cacheBytes = nodes.reduce((total, { node }) => total + (node?.cacheBytes ?? 0n), 0n);
  return [
    zone,
    counted(nodes.length),
    counted(nodes.length - lost),
    counted(lost),
    (sum(({ images }) => images) / nodes.length).toFixed(1),
    counted(sum(({ fetchesActive }) => fetchesActive)),
    counted(sum(({ fetchesQueued }) => fetchesQueued)),
    formatBytes(cacheBytes),
  ];
}

function load({ fetchesActive, fetchesQueued }: NodeStatus): number {
  return fetchesActive + fetchesQueued;
}

function counted(count: number): string {
  return count.toLocaleString("en");
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
