/** Sums over the board's rows. Pure. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Fetch, FetchState } from "../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import type {
  BoardFetchSchema,
  BoardTotalsSchema,
  BoardZoneSchema,
  ImageProgressSchema,
} from "../../proto/gen/bootswarm/seeder/v1/dashboard_pb.js";
import { isActive } from "../inventory/node-view.ts";
import { cachedCell } from "./cells.ts";
import { isStalled } from "./fetch-flow.ts";
import type { ImageColumns } from "./image-columns.ts";
import { stalledAfterMs } from "./limits.ts";
import type { NodeRow } from "./node-row.ts";

/** What the seeder itself does, as of now. */
export interface SeederFigures {
  swarmBytesPerSecond: number;
  httpBytesPerSecond: number;
  peers: number;
  fallbackSlotsInUse: number;
  fallbackSlots: number;
  fallbackWaiting: number;
}

export type Totals = Required<Omit<MessageInitShape<typeof BoardTotalsSchema>, "$typeName" | "$unknown">>;
export type Zone = Required<Omit<MessageInitShape<typeof BoardZoneSchema>, "$typeName" | "$unknown">>;
export type Progress = MessageInitShape<typeof ImageProgressSchema>;
export type ListedFetch = MessageInitShape<typeof BoardFetchSchema>;

export function totalsOf(rows: Iterable<NodeRow>, columns: ImageColumns, seeder: SeederFigures): Totals {
  const totals: Totals = {
    nodesUp: 0,
    nodesLost: 0,
    images: columns.catalogCount,
    holdings: 0,
    fetchesActive: 0,
    fetchesQueued: 0,
    fetchesPaused: 0,
    swarmBytesPerSecond: 0,
    httpBytesPerSecond: 0,
    seederSwarmBytesPerSecond: Math.round(seeder.swarmBytesPerSecond),
    seederHttpBytesPerSecond: Math.round(seeder.httpBytesPerSecond),
    seederPeers: seeder.peers,
    fallbackSlotsInUse: seeder.fallbackSlotsInUse,
    fallbackSlots: seeder.fallbackSlots,
    fallbackWaiting: seeder.fallbackWaiting,
  };
  for (const { state, held, load } of rows) {
    if (state === "lost") totals.nodesLost++;
    else {
      totals.nodesUp++;
      totals.holdings += held;
    }
    totals.fetchesActive += load.active;
    totals.fetchesQueued += load.queued;
    totals.fetchesPaused += load.paused;
    totals.swarmBytesPerSecond += load.swarmBytesPerSecond;
    totals.httpBytesPerSecond += load.httpBytesPerSecond;
  }
  totals.swarmBytesPerSecond = Math.round(totals.swarmBytesPerSecond);
  totals.httpBytesPerSecond = Math.round(totals.httpBytesPerSecond);
  return totals;
}

export function zonesOf(rows: Iterable<NodeRow>): Zone[] {
  const zones = new Map<string, Zone>();
  for (const { zone: name, state, load } of rows) {
    let zone = zones.get(name);
    if (!zone) {
      zone = {
        name,
        nodesUp: 0,
        nodesLost: 0,
        fetchesActive: 0,
        fetchesWaiting: 0,
        swarmBytesPerSecond: 0,
        httpBytesPerSecond: 0,
      };
      zones.set(name, zone);
    }
    if (state === "lost") zone.nodesLost++;
    else zone.nodesUp++;
    zone.fetchesActive += load.active;
    zone.fetchesWaiting += load.queued + load.paused;
    zone.swarmBytesPerSecond += load.swarmBytesPerSecond;
    zone.httpBytesPerSecond += load.httpBytesPerSecond;
  }
  for (const zone of zones.values()) {
    zone.swarmBytesPerSecond = Math.round(zone.swarmBytesPerSecond);
    zone.httpBytesPerSecond = Math.round(zone.httpBytesPerSecond);
  }
  return [...zones.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

interface Sum {
  image: number;
  active: number;
  waiting: number;
  doneBytes: number;
  totalBytes: number;
  bytesPerSecond: number;
  notMoving: number;
  lastNode: number;
  /** What made that node the last. */
  lastRank: number;
  /** The longest that is known; -1 while none is. */
  etaSeconds: number;
}

/** Images on their way, the one that is ready last first. */
export function progressOf(rows: Iterable<NodeRow>, columns: ImageColumns): Progress[] {
  const sums = new Map<number, Sum>();
  for (const row of rows) {
    for (const fetch of row.fetches) {
      const image = columns.indexOf(fetch.digest);
      if (image === undefined || row.cells[image] === cachedCell) continue;
      let sum = sums.get(image);
      if (!sum) {
        sum = emptySum(image);
        sums.set(image, sum);
      }
      addFetch(sum, fetch, row.index);
    }
  }
  return [...sums.values()]
    .sort((a, b) => b.lastRank - a.lastRank || b.etaSeconds - a.etaSeconds || a.image - b.image)
    .map(({ lastRank, etaSeconds, ...progress }) => ({ ...progress, ...(etaSeconds < 0 ? {} : { etaSeconds }) }));
}

function emptySum(image: number): Sum {
  return {
    ...{ image, active: 0, waiting: 0, doneBytes: 0, totalBytes: 0, bytesPerSecond: 0, notMoving: 0 },
    ...{ lastNode: 0, lastRank: -1, etaSeconds: -1 },
  };
}

function addFetch(sum: Sum, fetch: Fetch, node: number): void {
  const active = isActive(fetch);
  if (active) sum.active++;
  else sum.waiting++;
  sum.doneBytes += Number(fetch.doneBytes);
  sum.totalBytes += Number(fetch.sizeBytes);
  if (active) sum.bytesPerSecond += Number(fetch.bytesPerSecond);
  const seconds = readySeconds(fetch);
  if (Number.isFinite(seconds)) sum.etaSeconds = Math.max(sum.etaSeconds, seconds);
  else if (active || fetch.state === FetchState.PAUSED) sum.notMoving++;
  // What waits its turn keeps nobody waiting yet.
  const rank = fetch.state === FetchState.QUEUED ? 0 : seconds;
  if (rank > sum.lastRank) {
    sum.lastRank = rank;
    sum.lastNode = node;
  }
}

/** The fetches that most deserve a line: those that do not move, then those that are ready last. */
export function listedFetches(
  rows: Iterable<NodeRow>,
  columns: ImageColumns,
  countMax: number,
  nowMs: number,
): ListedFetch[] {
  const listed: { rank: number; row: NodeRow; fetch: Fetch; image: number }[] = [];
  for (const row of rows) {
    for (const fetch of row.fetches) {
      const image = columns.indexOf(fetch.digest);
      if (image === undefined || row.cells[image] === cachedCell) continue;
      const rank = attentionRank(row, fetch, nowMs);
      const last = listed.at(-1);
      if (listed.length >= countMax && last && rank <= last.rank) continue;
      let at = listed.length;
      while (at > 0 && listed[at - 1]!.rank < rank) at--;
      listed.splice(at, 0, { rank, row, fetch, image });
      if (listed.length > countMax) listed.pop();
    }
  }
  return listed.map(({ row, fetch, image }) => ({
    node: row.index,
    image,
    state: fetch.state,
    priority: fetch.priority,
    doneBytes: Number(fetch.doneBytes),
    sizeBytes: Number(fetch.sizeBytes),
    bytesPerSecond: isActive(fetch) ? Number(fetch.bytesPerSecond) : 0,
    ...(fetch.etaSeconds === undefined ? {} : { etaSeconds: fetch.etaSeconds }),
    peers: fetch.peers,
    activity: fetch.error || fetch.activity,
  }));
}

/** Paused, stalled, active by its ETA, then what waits in the queue. */
function attentionRank(row: NodeRow, fetch: Fetch, nowMs: number): number {
  const band = 1e12;
  if (fetch.state === FetchState.PAUSED) return 4 * band;
  if (fetch.state === FetchState.QUEUED) return -1;
  const flow = row.flows.get(fetch.digest);
  if (flow && isStalled(flow, nowMs, stalledAfterMs)) return 3 * band;
  return fetch.etaSeconds ?? 0;
}

/** When a fetch is ready: never known of one that is paused or has no rate yet. */
function readySeconds(fetch: Fetch): number {
  if (fetch.state === FetchState.VERIFYING) return fetch.etaSeconds ?? 0;
  return isActive(fetch) && fetch.etaSeconds !== undefined ? fetch.etaSeconds : Number.POSITIVE_INFINITY;
}
