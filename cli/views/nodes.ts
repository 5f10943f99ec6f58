import { formatBytes, formatPercent, formatRate, formatSeconds } from "../../figures/units.ts";
import {
  type Holding,
  type NodeHolding,
  NodeState,
  type NodeStatus,
} from "../../proto/gen/bootswarm/seeder/v1/inventory_pb.js";
import type { Table } from "../table.ts";
import { fetchStateName, paintState } from "./fetches.ts";
import { imageLabel, type NamesByDigest } from "./image-names.ts";
import { ageOf } from "./times.ts";

/** "up", "lost". */
export function nodeStateName(state: NodeState): string {
  if (state === NodeState.UP) return "up";
  return state === NodeState.LOST ? "lost" : "?";
}

/** All nodes of the inventory. */
export function nodesTable(nodes: readonly NodeStatus[], nowMs: number): Table {
  return {
    columns: [
      { header: "NODE", shrinkTo: 12 },
      { header: "STATE", paint: paintState },
      { header: "IMAGES", align: "right" },
      { header: "FETCHING", align: "right" },
      { header: "QUEUED", align: "right", dropOrder: 3 },
      { header: "CACHE", align: "right", dropOrder: 1 },
      { header: "DISK FREE", align: "right", dropOrder: 2 },
      { header: "REPORTED" },
      { header: "ZONE", dropOrder: 4, shrinkTo: 8 },
      { header: "VERSION", dropOrder: 7 },
      { header: "API", dropOrder: 6, shrinkTo: 12 },
      { header: "ID", dropOrder: 5, shrinkTo: 8 },
    ],
    rows: nodes.map((status) => [
      status.node?.name ?? "?",
      nodeStateName(status.state),
      String(status.images),
      String(status.fetchesActive),
      String(status.fetchesQueued),
      formatBytes(status.node?.cacheBytes ?? 0n),
      formatBytes(status.node?.diskFreeBytes ?? 0n),
      ageOf(status.reportedAt, nowMs),
      status.node?.zone || "-",
      status.node?.version ?? "",
      status.node?.apiUrl || "-",
      status.node?.id ?? "",
    ]),
  };
}

/** What one node holds. */
export function holdingsOfNodeTable(holdings: readonly Holding[], names: NamesByDigest, nowMs: number): Table {
  return {
    columns: [
      { header: "IMAGE", shrinkTo: 12 },
      { header: "ON DISK", align: "right" },
      { header: "PINNED" },
      { header: "USED", dropOrder: 1 },
      { header: "SHA256", shrinkTo: 12 },
    ],
    rows: holdings.map((holding) => [
      imageLabel(names.get(holding.digest) ?? [], holding.digest),
      formatBytes(holding.allocatedBytes),
      holding.pinned ? "yes" : "-",
      ageOf(holding.lastUsedAt, nowMs),
      holding.digest,
    ]),
  };
}

/** Which nodes have one image, and which are on their way to it. */
export function holdersTable(nodes: readonly NodeHolding[], nowMs: number): Table {
  return {
    columns: [
      { header: "NODE", shrinkTo: 12 },
      { header: "NODE IS", paint: paintState },
      { header: "IMAGE IS", paint: paintState },
      { header: "DONE", align: "right" },
      { header: "RATE", align: "right", dropOrder: 2 },
      { header: "ETA", align: "right", dropOrder: 1 },
      { header: "PINNED", dropOrder: 3 },
      { header: "USED", dropOrder: 4 },
    ],
    rows: nodes.map((each) => [
      each.nodeName || each.nodeId,
      nodeStateName(each.nodeState),
      each.fetch ? fetchStateName(each.fetch.state) : "ready",
      each.fetch ? formatPercent(each.fetch.doneBytes, each.fetch.sizeBytes) : "100 %",
      each.fetch ? formatRate(each.fetch.bytesPerSecond) : "-",
      each.fetch?.etaSeconds === undefined ? "-" : formatSeconds(each.fetch.etaSeconds),
      each.holding?.pinned ? "yes" : "-",
      ageOf(each.holding?.lastUsedAt, nowMs),
    ]),
  };
}
