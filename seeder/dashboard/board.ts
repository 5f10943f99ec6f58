/**
 * The board: nodes by images, kept in step with inventory and catalog, and what of it has changed since the last look. One
 * board serves all pages. It has no clock; the time comes with each call.
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { FetchPriority, FetchState } from "../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import {
  BoardEventKind,
  type BoardEventSchema,
  type BoardImageSchema,
  type BoardNodeSchema,
  type BoardSampleSchema,
  type WatchResponse,
  WatchResponseSchema,
} from "../../proto/gen/bootswarm/seeder/v1/dashboard_pb.js";
import { NodeState } from "../../proto/gen/bootswarm/seeder/v1/inventory_pb.js";
import type { ImageChange } from "../catalog/changes.ts";
import { EventLog, type SiteEvent } from "../events/event-log.ts";
import type { NodeReport } from "../inventory/facts.ts";
import { absentCell, cachedCell, isOnItsWay, pausedCell } from "./cells.ts";
import { type ConcernMessage, concernsOf } from "./concerns.ts";
import { type Column, ImageColumns } from "./image-columns.ts";
import { fetchesListedMax, nodesPerMessageMax, samplesMax, verifyConcernMs } from "./limits.ts";
import {
  type CellChange,
  type NodeLoad,
  type NodeRow,
  newRow,
  type SeenNode,
  updateRow,
  type VerifyFailures,
} from "./node-row.ts";
import { Slots } from "./slots.ts";
import {
  type ListedFetch,
  listedFetches,
  type Progress,
  progressOf,
  type SeederFigures,
  type Totals,
  totalsOf,
  type Zone,
  zonesOf,
} from "./sums.ts";

type Sample = MessageInitShape<typeof BoardSampleSchema>;
type Changes = MessageInitShape<typeof WatchResponseSchema>;

const states = { up: NodeState.UP, lost: NodeState.LOST } as const;

/** What a pass over the nodes has found changed. */
interface Seen {
  cells: number[];
  loads: number[];
  told: NodeRow[];
}

/** The lists that are sent as a whole, as they were last sent. */
interface Lists {
  zones: Zone[];
  progress: Progress[];
  concerns: ConcernMessage[];
  fetches: ListedFetch[];
}

export class Board {
  readonly events = new EventLog();
  readonly #version: string;
  readonly #rows = new Slots<NodeRow>();
  readonly #byId = new Map<string, NodeRow>();
  readonly #columns = new ImageColumns();
  readonly #verifyFailures = new Map<string, VerifyFailures>();
  readonly #samples: Sample[] = [];
  #lists: Lists = { zones: [], progress: [], concerns: [], fetches: [] };
  #concernsLeftOut = 0;
  #totals: Totals | undefined;
  #atMs = 0;
  #pass = 0;
  /** Columns of this update, for which all nodes must be looked at. */
  #newColumns: ReadonlySet<number> = new Set();

  constructor(version: string) {
    this.#version = version;
  }

  /** Takes in what happened to an image of the catalog. */
  catalogChanged(change: ImageChange, nowMs: number): void {
    const { kind, image } = change;
    const before = this.#columns.indexOf(image.digest);
    const name = image.names[0] ?? (before === undefined ? undefined : this.#columns.at(before)?.name) ?? image.digest;
    this.#columns.catalogChanged(change);
    if (image.boot || (kind !== "published" && kind !== "retired")) return;
    const event = kind === "published" ? BoardEventKind.PUBLISHED : BoardEventKind.RETIRED;
    this.events.record({ kind: event, image: { digest: image.digest, name } }, nowMs);
  }

  /** Takes in what only a report itself says: how many pieces have failed their check. */
  reported({ node, epoch, pieceVerifyFailures: count }: NodeReport, nowMs: number): void {
    const known = this.#verifyFailures.get(node.id);
    if (!known) {
      // What an agent counted before this seeder knew of it may be days old.
      this.#verifyFailures.set(node.id, { epoch, count, recent: 0, firstAtMs: nowMs, lastAtMs: 0 });
      return;
    }
    // After its own restart an agent counts from 0.
    const more = known.epoch === epoch ? Math.max(0, count - known.count) : count;
    const isOld = nowMs - known.lastAtMs >= verifyConcernMs;
    this.#verifyFailures.set(node.id, {
      epoch,
      count,
      recent: (isOld ? 0 : known.recent) + more,
      firstAtMs: isOld ? nowMs : known.firstAtMs,
      lastAtMs: more > 0 ? nowMs : known.lastAtMs,
    });
    if (more === 0) return;
    const { id, name } = node;
    this.events.record({ kind: BoardEventKind.VERIFY_FAILED, node: { id, name }, count: more }, nowMs);
  }

  /** Brings the board up to date, and returns what has changed. */
  update(nodes: Iterable<SeenNode>, seeder: SeederFigures, nowMs: number): WatchResponse {
    const first = this.#pass++ === 0;
    const changes: Changes = { at: timestampFromMs(nowMs) };
    this.#newColumns = this.#columns.settle((index) => this.#isColumnEmpty(index));
    const { changed, gone } = this.#columns.takeChanged();
    for (const row of this.#rows) for (const index of gone) if (row.cells[index]) row.cells[index] = absentCell;
    changes.images = changed.map(columnMessage);
    changes.imagesGone = gone;
    const seen: Seen = { cells: [], loads: [], told: [] };
    for (const view of nodes) this.#look(view, nowMs, first, seen);
    changes.nodesGone = this.#forgetUnseen();
    changes.nodes = seen.told.map(nodeMessage);
    changes.cells = seen.cells;
    changes.loads = seen.loads;
    this.#sum(changes, seeder, nowMs);
    changes.events = this.events.takeChanged().map(eventMessage);
    this.#atMs = nowMs;
    return create(WatchResponseSchema, changes);
  }

  /** All of the board as of the last update, in as many messages as it needs. */
  snapshot(): WatchResponse[] {
    const rows = [...this.#rows];
    const messages: Changes[] = [];
    for (let start = 0; start === 0 || start < rows.length; start += nodesPerMessageMax) {
      const some = rows.slice(start, start + nodesPerMessageMax);
      messages.push({
        at: timestampFromMs(this.#atMs),
        more: true,
        nodes: some.map((row) => ({ ...nodeMessage(row), cells: trimmed(row.cells) })),
        loads: some.filter(({ load }) => load.active + load.queued + load.paused > 0).flatMap(loadQuad),
      });
    }
    Object.assign(messages[0]!, {
      reset: true,
      version: this.#version,
      images: [...this.#columns].map(columnMessage),
    });
    Object.assign(messages.at(-1)!, {
      ...this.#lists,
      more: false,
      imagesLeftOut: this.#columns.leftOutCount,
      totals: this.#totals,
      concernsLeftOut: this.#concernsLeftOut,
      events: this.events.all().map(eventMessage),
      samples: [...this.#samples],
      lists: { zones: true, progress: true, concerns: true, fetches: true },
    });
    return messages.map((message) => create(WatchResponseSchema, message));
  }

  #look(view: SeenNode, nowMs: number, first: boolean, seen: Seen): void {
    let row = this.#byId.get(view.node.id);
    const isNew = !row;
    if (!row) {
      row = this.#rows.add((index) => newRow(index, view));
      this.#byId.set(row.id, row);
    }
    row.pass = this.#pass;
    const { name, zone, state, load, reportedAtMs } = row;
    if (!isNew && this.#newColumns.size === 0 && reportedAtMs === view.reportedAtMs && state === view.state) return;
    const { fetches } = row;
    const changed = updateRow(row, view, this.#columns, nowMs);
    if (isNew || name !== row.name || zone !== row.zone || state !== row.state) seen.told.push(row);
    for (const { image, after } of changed) seen.cells.push(row.index, image, after);
    if (!sameLoad(load, row.load)) seen.loads.push(...loadQuad(row));
    if (first) return;
    const node = { id: row.id, name: row.name };
    if (isNew) this.events.record({ kind: BoardEventKind.NODE_NEW, node }, nowMs);
    else if (state !== row.state) {
      this.events.record(
        { kind: row.state === "lost" ? BoardEventKind.NODE_LOST : BoardEventKind.NODE_BACK, node },
        nowMs,
      );
      // Fetches vanish with the node, and come again with it: nothing has happened to them.
    } else this.#recordCells(row, node, changed, nowMs);
    if (!isNew) this.#recordPrefetches(row, node, fetches, nowMs);
  }

  /** What cells tell. New columns are no news, nor is what changed while the node was away. */
  #recordCells(row: NodeRow, node: { id: string; name: string }, changes: readonly CellChange[], nowMs: number): void {
    for (const { image: index, before, after } of changes) {
      const column = this.#columns.at(index);
      if (!column || this.#newColumns.has(index)) continue;
      const image = { digest: column.digest, name: column.name || column.digest };
      const record = (kind: BoardEventKind, text = "") => this.events.record({ kind, node, image, text }, nowMs);
      if (after === cachedCell) record(BoardEventKind.READY);
      else if (before === cachedCell) record(BoardEventKind.EVICTED);
      else if (after === absentCell && isOnItsWay(before)) record(BoardEventKind.FETCH_ENDED);
      else if (after === pausedCell) {
        record(BoardEventKind.FETCH_PAUSED, row.fetches.find(({ digest }) => digest === column.digest)?.error);
      }
    }
  }

  #recordPrefetches(row: NodeRow, node: { id: string; name: string }, before: NodeRow["fetches"], nowMs: number): void {
    for (const fetch of row.fetches) {
      if (fetch.priority !== FetchPriority.PREFETCH || fetch.state !== FetchState.ACTIVE) continue;
      const was = before.find(({ digest }) => digest === fetch.digest);
      const index = this.#columns.indexOf(fetch.digest);
      const column = index === undefined ? undefined : this.#columns.at(index);
      if (!column || (was && was.state !== FetchState.QUEUED)) continue;
      const image = { digest: column.digest, name: column.name || column.digest };
      this.events.record({ kind: BoardEventKind.PREFETCH_STARTED, node, image }, nowMs);
    }
  }

  #forgetUnseen(): number[] {
    const gone: number[] = [];
    for (const row of this.#rows) {
      if (row.pass === this.#pass) continue;
      this.#byId.delete(row.id);
      this.#verifyFailures.delete(row.id);
      this.#rows.remove(row.index);
      gone.push(row.index);
    }
    return gone;
  }

  #isColumnEmpty(index: number): boolean {
    for (const { cells } of this.#rows) if (cells[index]) return false;
    return true;
  }

  #sum(changes: Changes, seeder: SeederFigures, nowMs: number): void {
    const rows = [...this.#rows];
    const columns = this.#columns;
    const { listed: concerns, leftOut } = concernsOf(rows, columns, this.#verifyFailures, seeder, nowMs);
    const lists: Lists = {
      zones: zonesOf(rows),
      progress: progressOf(rows, columns),
      concerns,
      fetches: listedFetches(rows, columns, fetchesListedMax, nowMs),
    };
    changes.lists = {};
    for (const key of ["zones", "progress", "concerns", "fetches"] as const) {
      if (sameList(lists[key], this.#lists[key])) continue;
      Object.assign(changes, { [key]: lists[key] });
      changes.lists[key] = true;
    }
    this.#lists = lists;
    this.#concernsLeftOut = leftOut;
    changes.concernsLeftOut = leftOut;
    changes.imagesLeftOut = columns.leftOutCount;
    const totals = totalsOf(rows, columns, seeder);
    this.#totals = totals;
    changes.totals = totals;
    const { swarmBytesPerSecond, httpBytesPerSecond, fetchesActive } = totals;
    const { seederSwarmBytesPerSecond, seederHttpBytesPerSecond } = totals;
    const rates = { swarmBytesPerSecond, httpBytesPerSecond, seederSwarmBytesPerSecond, seederHttpBytesPerSecond };
    const sample: Sample = { atMs: nowMs, ...rates, fetchesActive };
    this.#samples.push(sample);
    if (this.#samples.length > samplesMax) this.#samples.shift();
    changes.samples = [sample];
  }
}

function nodeMessage(row: NodeRow): MessageInitShape<typeof BoardNodeSchema> {
  const { index, id, name, zone, state, reportedAtMs } = row;
  return { index, id, name, zone, state: states[state], reportedAt: timestampFromMs(reportedAtMs) };
}

function columnMessage(column: Column): MessageInitShape<typeof BoardImageSchema> {
  return { ...column };
}

function eventMessage(event: SiteEvent): MessageInitShape<typeof BoardEventSchema> {
  const { number, kind, atMs, node, image, count, text } = event;
  return {
    ...{ number, kind, count, text, at: timestampFromMs(atMs) },
    ...{ nodeName: node?.name ?? "", nodeId: node?.id ?? "" },
    ...{ imageName: image?.name ?? "", digest: image?.digest ?? "" },
  };
}

function loadQuad({ index, load }: NodeRow): [number, number, number, number] {
  return [index, Math.round(load.bytesPerSecond), load.active, load.queued + load.paused];
}

function sameLoad(a: NodeLoad, b: NodeLoad): boolean {
  return (
    Math.round(a.bytesPerSecond) === Math.round(b.bytesPerSecond) &&
    a.active === b.active &&
    a.queued + a.paused === b.queued + b.paused
  );
}

/** A row without the zeros at its end. */
function trimmed(cells: Uint8Array): Uint8Array {
  let end = cells.length;
  while (end > 0 && cells[end - 1] === absentCell) end--;
  return cells.slice(0, end);
}

function sameList(a: readonly object[], b: readonly object[]): boolean {
  if (a.length !== b.length) return false;
  const text = (value: unknown) =>
    JSON.stringify(value, (_key, it: unknown) => (typeof it === "bigint" ? `${it}` : it));
  return text(a) === text(b);
}
