/** The board as the page knows it: what the stream told so far. Pure: a state and a message give the next state. */
import type {
  BoardEventJson,
  BoardFetchJson,
  BoardImageJson,
  BoardNodeJson,
  BoardSampleJson,
  BoardTotalsJson,
  BoardZoneJson,
  ConcernJson,
  ImageProgressJson,
  WatchResponseJson,
} from "../../../proto/gen/bootswarm/seeder/v1/dashboard_pb.js";
import { bytesFrom, numberFrom } from "./json-values.ts";

export interface BoardNode {
  readonly index: number;
  readonly id: string;
  readonly name: string;
  readonly zone: string;
  /** Compares as name and zone do, numbers in them as numbers. */
  readonly nameKey: string;
  readonly zoneKey: string;
  readonly lost: boolean;
  /** When it last reported; kept current only while it is lost. */
  readonly reportedAtMs: number;
  /** By image index; what is missing at the end is absent. */
  readonly cells: Uint8Array;
  readonly bytesPerSecond: number;
  readonly active: number;
  readonly waiting: number;
}

export interface BoardImage {
  readonly index: number;
  readonly digest: string;
  /** What to call it. */
  readonly name: string;
  readonly sizeBytes: number;
  readonly inCatalog: boolean;
  readonly hasTorrent: boolean;
}

export interface Board {
  /** The moment that all of this is of; 0 before the first. */
  readonly atMs: number;
  /** Whether a moment has been told to its end. */
  readonly complete: boolean;
  readonly version: string;
  readonly nodes: ReadonlyMap<number, BoardNode>;
  readonly images: ReadonlyMap<number, BoardImage>;
  readonly imagesLeftOut: number;
  readonly totals: BoardTotalsJson;
  readonly zones: readonly BoardZoneJson[];
  readonly progress: readonly ImageProgressJson[];
  readonly concerns: readonly ConcernJson[];
  readonly concernsLeftOut: number;
  readonly fetches: readonly BoardFetchJson[];
  /** Newest first. */
  readonly events: readonly BoardEventJson[];
  /** Oldest first. */
  readonly samples: readonly BoardSampleJson[];
}

/** As many as the seeder keeps. */
const eventsMax = 500;
const samplesMax = 300;

export const emptyBoard: Board = {
  atMs: 0,
  complete: false,
  version: "",
  nodes: new Map(),
  images: new Map(),
  imagesLeftOut: 0,
  totals: {},
  zones: [],
  progress: [],
  concerns: [],
  concernsLeftOut: 0,
  fetches: [],
  events: [],
  samples: [],
};

/** The board after a message. */
export function nextBoard(board: Board, message: WatchResponseJson): Board {
  const before = message.reset ? emptyBoard : board;
  const lists = message.lists ?? {};
  return {
    atMs: message.at === undefined ? before.atMs : Date.parse(message.at),
    complete: !message.more,
    version: message.version ?? before.version,
    images: nextImages(before.images, message),
    nodes: nextNodes(before.nodes, message),
    imagesLeftOut: message.more ? before.imagesLeftOut : (message.imagesLeftOut ?? 0),
    totals: message.totals ?? before.totals,
    zones: lists.zones ? (message.zones ?? []) : before.zones,
    progress: lists.progress ? (message.progress ?? []) : before.progress,
    concerns: lists.concerns ? (message.concerns ?? []) : before.concerns,
    concernsLeftOut: message.more ? before.concernsLeftOut : (message.concernsLeftOut ?? 0),
    fetches: lists.fetches ? (message.fetches ?? []) : before.fetches,
    events: nextEvents(before.events, message.events ?? []),
    samples: [...before.samples, ...(message.samples ?? [])].slice(-samplesMax),
  };
}

function nextImages(
  images: ReadonlyMap<number, BoardImage>,
  { imagesGone = [], images: told = [] }: WatchResponseJson,
): ReadonlyMap<number, BoardImage> {
  if (imagesGone.length === 0 && told.length === 0) return images;
  const next = new Map(images);
  for (const index of imagesGone) next.delete(index);
  for (const image of told) next.set(image.index ?? 0, imageFrom(image));
  return next;
}

function nextNodes(nodes: ReadonlyMap<number, BoardNode>, message: WatchResponseJson): ReadonlyMap<number, BoardNode> {
  const { nodesGone = [], nodes: told = [], imagesGone = [], cells = [], loads = [] } = message;
  if (nodesGone.length + told.length + imagesGone.length + cells.length + loads.length === 0) return nodes;
  const next = new Map(nodes);
  for (const index of nodesGone) next.delete(index);
  for (const node of told) next.set(node.index ?? 0, nodeFrom(node, next.get(node.index ?? 0)));
  const clearing = imagesGone.flatMap((image) => [...next.keys()].flatMap((node) => [node, image, 0]));
  applyCells(next, [...clearing, ...cells]);
  for (let at = 0; at + 3 < loads.length; at += 4) {
    const [index, bytesPerSecond, active, waiting] = loads.slice(at, at + 4).map(numberFrom) as [
      number,
      number,
      number,
      number,
    ];
    const node = next.get(index);
    if (node) next.set(index, { ...node, bytesPerSecond, active, waiting });
  }
  return next;
}

/** Changes cells, in threes; the rows of the state before are left as they are. */
function applyCells(nodes: Map<number, BoardNode>, cells: readonly number[]): void {
  const fresh = new Set<number>();
  for (let at = 0; at + 2 < cells.length; at += 3) {
    const [index, image, value] = cells.slice(at, at + 3) as [number, number, number];
    let node = nodes.get(index);
    if (!node || ((node.cells[image] ?? 0) === 0 && value === 0)) continue;
    if (!fresh.has(index) || image >= node.cells.length) {
      const row = new Uint8Array(Math.max(node.cells.length, image + 1));
      row.set(node.cells);
      node = { ...node, cells: row };
      nodes.set(index, node);
      fresh.add(index);
    }
    node.cells[image] = value;
  }
}

function nodeFrom(node: BoardNodeJson, before: BoardNode | undefined): BoardNode {
  const { index = 0, id = "", name = "", zone = "", cells, reportedAt } = node;
  // A node's number may have been another's before.
  const known = before?.id === id ? before : undefined;
  return {
    index,
    id,
    name: name || id,
    zone,
    nameKey: sortKey(name || id),
    zoneKey: sortKey(zone),
    lost: node.state === "NODE_STATE_LOST",
    reportedAtMs: reportedAt === undefined ? 0 : Date.parse(reportedAt),
    cells: cells === undefined ? (known?.cells ?? new Uint8Array(0)) : bytesFrom(cells),
    bytesPerSecond: known?.bytesPerSecond ?? 0,
    active: known?.active ?? 0,
    waiting: known?.waiting ?? 0,
  };
}

/** "node-2" before "node-10": thousands of nodes are put in order each second, too many for a collator. */
export function sortKey(name: string): string {
  return name.toLowerCase().replace(/\d+/g, (digits) => digits.padStart(12, "0"));
}

function imageFrom(image: BoardImageJson): BoardImage {
  const { index = 0, digest = "", name = "", sizeBytes, inCatalog = false, hasTorrent = false } = image;
  return { index, digest, name: name || digest.slice(0, 12), sizeBytes: numberFrom(sizeBytes), inCatalog, hasTorrent };
}

function nextEvents(before: readonly BoardEventJson[], told: readonly BoardEventJson[]): readonly BoardEventJson[] {
  if (told.length === 0) return before;
  const byNumber = new Map(before.map((event) => [event.number ?? 0, event]));
  for (const event of told) byNumber.set(event.number ?? 0, event);
  const newestFirst = (a: BoardEventJson, b: BoardEventJson) =>
    Date.parse(b.at ?? "") - Date.parse(a.at ?? "") || (b.number ?? 0) - (a.number ?? 0);
  return [...byNumber.values()].sort(newestFirst).slice(0, eventsMax);
}
