import { formatBytes, formatPercent, formatRate, formatSeconds } from "../../figures/units.ts";
import {
  type GetPlanResponse,
  type ListPopularityResponse,
  NodePrefetchState,
  PlanMode,
  type Prefetch,
  type PrefetchNode,
  PrefetchState,
  type ZonePlan,
} from "../../proto/gen/bootswarm/seeder/v1/prefetch_pb.js";
import { describeTransfer, renderBar, renderTransfers, type Transfer } from "../progress.ts";
import type { Section } from "../report.ts";
import type { Style } from "../style.ts";
import type { Table } from "../table.ts";
import { imageLabel } from "./image-names.ts";
import { ageOf } from "./times.ts";

const stateNames: Record<PrefetchState, string> = {
  [PrefetchState.UNSPECIFIED]: "?",
  [PrefetchState.RUNNING]: "running",
  [PrefetchState.DONE]: "done",
  [PrefetchState.FAILED]: "failed",
  [PrefetchState.CANCELLED]: "cancelled",
};

const nodeStateNames: Record<NodePrefetchState, string> = {
  [NodePrefetchState.UNSPECIFIED]: "?",
  [NodePrefetchState.WAITING]: "waiting",
  [NodePrefetchState.FETCHING]: "fetching",
  [NodePrefetchState.READY]: "ready",
  [NodePrefetchState.FAILED]: "failed",
  [NodePrefetchState.CANCELLED]: "cancelled",
};

/** Nodes shown while a prefetch is followed; of many, those under way. */
const nodesShownMax = 12;

function paint(name: string, style: Style): string {
  if (name === "ready" || name === "done") return style.green(name);
  if (name === "failed") return style.red(name);
  return name === "waiting" || name === "cancelled" ? style.dim(name) : style.cyan(name);
}

function nodeStateOf({ state, lost }: PrefetchNode): string {
  const isUnderWay = state === NodePrefetchState.WAITING || state === NodePrefetchState.FETCHING;
  return lost && isUnderWay ? "lost" : nodeStateNames[state];
}

function whereOf({ nodeIds, zone, count, nodesWanted }: Prefetch): string {
  if (nodeIds.length > 0) return `${nodeIds.length} named`;
  const number = count === 0 ? "all" : String(nodesWanted);
  return zone === "" ? number : `${number} of ${zone}`;
}

/** Prefetches with how far they are. */
export function prefetchesTable(prefetches: readonly Prefetch[], nowMs: number): Table {
  return {
    columns: [
      { header: "ID" },
      { header: "IMAGE", shrinkTo: 12 },
      { header: "STATE", paint },
      { header: "READY", align: "right" },
      { header: "FAILED", align: "right" },
      { header: "NODES", dropOrder: 1 },
      { header: "SIZE", align: "right", dropOrder: 3 },
      { header: "STARTED", dropOrder: 2 },
    ],
    rows: prefetches.map((each) => [
      each.id,
      imageLabel(each.name === "" ? [] : [each.name], each.digest),
      stateNames[each.state],
      `${each.nodesReady}/${each.nodesWanted}`,
      String(each.nodesFailed),
      whereOf(each),
      formatBytes(each.sizeBytes),
      ageOf(each.createdAt, nowMs),
    ]),
  };
}

/** One prefetch node by node. */
export function prefetchNodesTable({ nodes, sizeBytes }: Prefetch): Table {
  return {
    columns: [
      { header: "NODE", shrinkTo: 12 },
      { header: "ZONE", dropOrder: 2, shrinkTo: 8 },
      { header: "STATE", paint },
      { header: "DONE", align: "right" },
      { header: "RATE", align: "right", dropOrder: 1 },
      { header: "ETA", align: "right", dropOrder: 3 },
      { header: "ACTIVITY", shrinkTo: 10 },
    ],
    rows: nodes.map((node) => [
      node.nodeName,
      node.zone || "-",
      nodeStateOf(node),
      formatPercent(node.doneBytes, sizeBytes),
      node.state === NodePrefetchState.FETCHING ? formatRate(node.bytesPerSecond) : "-",
      node.etaSeconds === undefined ? "-" : formatSeconds(node.etaSeconds),
      node.error || node.activity || (node.state === NodePrefetchState.WAITING ? "told with its next report" : ""),
    ]),
  };
}

function transferOf(node: PrefetchNode, sizeBytes: bigint): Transfer {
  const isFetching = node.state === NodePrefetchState.FETCHING && !node.lost;
  return {
    label: node.nodeName,
    doneBytes: Number(node.doneBytes),
    totalBytes: Number(sizeBytes),
    bytesPerSecond: Number(node.bytesPerSecond),
    etaSeconds: node.etaSeconds,
    notes: [node.error || node.activity].filter((note) => note !== ""),
    state: isFetching ? undefined : nodeStateOf(node),
  };
}

function summaryOf({ name, digest, nodesReady, nodesWanted, nodesFailed }: Prefetch): string {
  const failed = nodesFailed > 0 ? `, ${nodesFailed} failed` : "";
  return `${imageLabel(name === "" ? [] : [name], digest)}: ${nodesReady} of ${nodesWanted} nodes have it${failed}`;
}

/** A prefetch on a terminal: how many nodes have the image, and those under way with a bar each. */
export function prefetchLines(prefetch: Prefetch, options: { width: number; style: Style }): string[] {
  const { style } = options;
  const { nodes, sizeBytes, nodesReady, nodesWanted } = prefetch;
  const shown = nodes.slice(0, nodesShownMax);
  const more = nodesWanted - shown.length;
  const bar = renderBar(nodesWanted === 0 ? 1 : nodesReady / nodesWanted, 20, style);
  return [
    `${bar}  ${summaryOf(prefetch)}`,
    ...renderTransfers(
      shown.map((node) => transferOf(node, sizeBytes)),
      options,
    ),
    ...(more > 0 ? [style.dim(`and ${more} more nodes`)] : []),
  ];
}

/** The same for a log. */
export function prefetchPlainLines(prefetch: Prefetch): string[] {
  const moving = prefetch.nodes.filter(({ state }) => state === NodePrefetchState.FETCHING).slice(0, nodesShownMax);
  return [summaryOf(prefetch), ...moving.map((node) => describeTransfer(transferOf(node, prefetch.sizeBytes)))];
}

/** Images by popularity. */
export function popularityTable({ images, halfLifeMs }: ListPopularityResponse): Table {
  return {
    columns: [
      { header: "IMAGE", shrinkTo: 12 },
      { header: "LAUNCHES", align: "right" },
      { header: "A DAY", align: "right" },
      { header: "HALF-LIFE", align: "right", dropOrder: 1 },
    ],
    rows: images.map(({ names, digest, score, launchesPerDay }) => [
      imageLabel(names, digest),
      score.toFixed(1),
      launchesPerDay.toFixed(1),
      formatSeconds(Number(halfLifeMs) / 1_000),
    ]),
  };
}

/** The plan: each zone with its images, and what is to go where next. */
export function planSections({ zones, mode, plannedAt }: GetPlanResponse, nowMs: number): Section[] {
  if (zones.length === 0) {
    const ifEmpty = mode === PlanMode.OFF || plannedAt ? "no zone has nodes that report" : "no plan was made yet";
    return [{ table: imagesTable([]), ifEmpty }];
  }
  return zones.flatMap((zone) => [
    {
      title: `${zone.zone === "" ? "Nodes in no zone" : `Zone ${zone.zone}`}: ${describeZone(zone)}, planned ${ageOf(plannedAt, nowMs)}`,
      table: imagesTable(zone.images),
      ifEmpty: "no image is launched here",
    },
    ...(zone.assignments.length === 0 ? [] : [{ title: "Next", table: assignmentsTable(zone) }]),
  ]);
}

function describeZone({ nodes, nodesAllowing, usedBytes, budgetBytes }: ZonePlan): string {
  const budget = `${formatBytes(usedBytes)} of ${formatBytes(budgetBytes)} used`;
  return `${nodesAllowing} of ${nodes} ${nodes === 1 ? "node" : "nodes"} take part, ${budget}`;
}

function imagesTable(images: ZonePlan["images"]): Table {
  return {
    columns: [
      { header: "IMAGE", shrinkTo: 12 },
      { header: "LAUNCHES", align: "right" },
      { header: "COPIES", align: "right" },
      { header: "COMING", align: "right", dropOrder: 1 },
      { header: "WANTED", align: "right" },
      { header: "MISSES", align: "right", dropOrder: 3 },
      { header: "THEN", align: "right", dropOrder: 2 },
    ],
    rows: images.map((image) => [
      imageLabel(image.names, image.digest),
      image.score.toFixed(1),
      String(image.copies),
      String(image.copiesComing),
      String(image.copiesWanted),
      image.missesExpected.toFixed(1),
      image.missesExpectedThen.toFixed(1),
    ]),
  };
}

function assignmentsTable({ assignments, images }: ZonePlan): Table {
  const names = new Map(images.map((image) => [image.digest, image.names]));
  return {
    columns: [
      { header: "NODE", shrinkTo: 12 },
      { header: "IMAGE", shrinkTo: 12 },
      { header: "STATE", paint },
    ],
    rows: assignments.map(({ nodeName, digest, state }) => [
      nodeName,
      imageLabel(names.get(digest) ?? [], digest),
      nodeStateNames[state],
    ]),
  };
}

/** What becomes of the plan. */
export function describePlan(mode: PlanMode): string {
  if (mode === PlanMode.ON) return "nodes fetch by this plan (prefetch.mode: on)";
  if (mode === PlanMode.OFF) return "no plan is made (prefetch.mode: off)";
  return "nodes are not told of this plan (prefetch.mode: advise); the seeder's `prefetch.mode: on` has them fetch by it";
}
