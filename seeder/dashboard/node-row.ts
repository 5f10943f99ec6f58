/** One node on the board: its cells, what it is busy with, and how that differs from before. Pure but for the row it owns. */
import { type Fetch, FetchState } from "../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import { isActive, type NodeView } from "../inventory/node-view.ts";
import { absentCell, cachedCell, fetchCell } from "./cells.ts";
import { type FetchFlow, flowOf } from "./fetch-flow.ts";
import type { ImageColumns } from "./image-columns.ts";
import { diskFreeFractionMin } from "./limits.ts";

/** What the board reads of a node. */
export type SeenNode = Pick<NodeView, "node" | "state" | "reportedAtMs" | "holdings" | "fetches">;

/** What a node is busy with. */
export interface NodeLoad {
  bytesPerSecond: number;
  swarmBytesPerSecond: number;
  httpBytesPerSecond: number;
  active: number;
  queued: number;
  paused: number;
}

const idle: NodeLoad = {
  bytesPerSecond: 0,
  swarmBytesPerSecond: 0,
  httpBytesPerSecond: 0,
  active: 0,
  queued: 0,
  paused: 0,
};

/** What is known of a node's failed checks. */
export interface VerifyFailures {
  /** The agent's run that the count is of. */
  epoch: bigint;
  count: number;
  /** How many there were since they were last none for some time, and when the first and the last were. */
  recent: number;
  firstAtMs: number;
  lastAtMs: number;
}

export interface NodeRow {
  readonly index: number;
  readonly id: string;
  name: string;
  zone: string;
  state: "up" | "lost";
  reportedAtMs: number;
  cells: Uint8Array;
  /** Complete images, boot images left out. */
  held: number;
  fetches: readonly Fetch[];
  flows: Map<string, FetchFlow>;
  load: NodeLoad;
  /** When the node's disk was first seen to have no room; undefined while it has some. */
  diskFullSinceMs: number | undefined;
  diskFreeBytes: number;
  /** Marks the pass over the inventory that saw the node last. */
  pass: number;
}

export interface CellChange {
  image: number;
  before: number;
  after: number;
}

export function newRow(index: number, view: SeenNode): NodeRow {
  return {
    index,
    id: view.node.id,
    name: view.node.name,
    zone: view.node.zone,
    state: view.state,
    reportedAtMs: 0,
    cells: new Uint8Array(0),
    held: 0,
    fetches: [],
    flows: new Map(),
    load: idle,
    diskFullSinceMs: undefined,
    diskFreeBytes: 0,
    pass: 0,
  };
}

/** Brings a row up to date with what the inventory knows, and says which cells changed. */
export function updateRow(row: NodeRow, view: SeenNode, columns: ImageColumns, nowMs: number): CellChange[] {
  const cells = new Uint8Array(columns.length);
  for (const fetch of view.fetches) setCell(cells, columns, fetch.digest, fetch.name, fetchCell(fetch));
  for (const { digest } of view.holdings) setCell(cells, columns, digest, "", cachedCell);
  const changes: CellChange[] = [];
  for (let image = 0; image < cells.length; image++) {
    const before = row.cells[image] ?? absentCell;
    const after = cells[image]!;
    if (before !== after) changes.push({ image, before, after });
  }
  row.name = view.node.name;
  row.zone = view.node.zone;
  row.state = view.state;
  row.reportedAtMs = view.reportedAtMs;
  row.cells = cells;
  row.held = cells.reduce((count, cell) => (cell === cachedCell ? count + 1 : count), 0);
  row.fetches = view.fetches;
  row.flows = new Map(view.fetches.map((fetch) => [fetch.digest, flowOf(fetch, row.flows.get(fetch.digest), nowMs)]));
  row.load = loadOf(view.fetches, row.flows);
  const { diskFreeBytes, diskSizeBytes } = view.node;
  row.diskFreeBytes = diskFreeBytes;
  const isFull = diskSizeBytes > 0 && diskFreeBytes < diskSizeBytes * diskFreeFractionMin;
  row.diskFullSinceMs = isFull ? (row.diskFullSinceMs ?? nowMs) : undefined;
  return changes;
}

function setCell(cells: Uint8Array, columns: ImageColumns, digest: string, name: string, cell: number): void {
  const index = columns.indexOf(digest);
  if (index === undefined) columns.noteSeen(digest, name);
  else cells[index] = cell;
}

function loadOf(fetches: readonly Fetch[], flows: ReadonlyMap<string, FetchFlow>): NodeLoad {
  if (fetches.length === 0) return idle;
  const load = { ...idle };
  for (const fetch of fetches) {
    if (fetch.state === FetchState.QUEUED) load.queued++;
    if (fetch.state === FetchState.PAUSED) load.paused++;
    if (!isActive(fetch)) continue;
    load.active++;
    const bytesPerSecond = Number(fetch.bytesPerSecond);
    const swarmShare = flows.get(fetch.digest)?.swarmShare ?? 1;
    load.bytesPerSecond += bytesPerSecond;
    load.swarmBytesPerSecond += bytesPerSecond * swarmShare;
    load.httpBytesPerSecond += bytesPerSecond * (1 - swarmShare);
  }
  return load;
}
