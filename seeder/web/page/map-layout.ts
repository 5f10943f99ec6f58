/**
 * Where everything is on the map: images are rows, nodes are columns, side by side within their zone. Pure.
 */
import type { Board, BoardImage, BoardNode } from "./board-state.ts";
import { cachedCell } from "./cell-values.ts";

export type ImageOrder = "name" | "moving" | "cached" | "missing";
export type NodeOrder = "zone" | "name" | "busy" | "empty";

export interface MapChoice {
  /** Words; each must be in a node's name or zone, or else in an image's name. */
  filter: string;
  imageOrder: ImageOrder;
  nodeOrder: NodeOrder;
}

/** An image with how far it is on the nodes that are shown. */
export interface MapRow {
  image: BoardImage;
  cached: number;
  fetching: number;
}

/** Nodes side by side; one group without a name if they are not ordered by zone. */
export interface NodeGroup {
  zone: string;
  /** Place of its first node among all nodes shown. */
  start: number;
  count: number;
  lost: number;
}

export interface MapContent {
  rows: MapRow[];
  nodes: BoardNode[];
  groups: NodeGroup[];
}

/** What is shown, in its order. */
export function mapContent(board: Board, choice: MapChoice): MapContent {
  const words = choice.filter.toLowerCase().split(/\s+/).filter(Boolean);
  const allNodes = [...board.nodes.values()];
  const allImages = [...board.images.values()];
  const isOfNode = (word: string) => allNodes.some((node) => nodeMatches(node, word));
  const nodeWords = words.filter(isOfNode);
  const imageWords = words.filter((word) => !isOfNode(word));
  const matching = allNodes.filter((node) => nodeWords.every((word) => nodeMatches(node, word)));
  const nodes = inOrder(matching, choice.nodeOrder);
  const rows = allImages
    .filter((image) => imageWords.every((word) => imageMatches(image, word)))
    .map((image) => rowOf(image, nodes))
    .sort(imageOrders[choice.imageOrder]);
  return { rows, nodes, groups: groupsOf(nodes, choice.nodeOrder === "zone") };
}

function nodeMatches({ name, zone }: BoardNode, word: string): boolean {
  return name.toLowerCase().includes(word) || zone.toLowerCase().includes(word);
}

function imageMatches({ name, digest }: BoardImage, word: string): boolean {
  return name.toLowerCase().includes(word) || digest.startsWith(word);
}

function rowOf(image: BoardImage, nodes: readonly BoardNode[]): MapRow {
  let cached = 0;
  let fetching = 0;
  for (const { cells } of nodes) {
    const cell = cells[image.index] ?? 0;
    if (cell === cachedCell) cached++;
    else if (cell !== 0) fetching++;
  }
  return { image, cached, fetching };
}

const compareNames = new Intl.Collator("en", { numeric: true }).compare;

const compareKeys = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
const byName = (a: BoardNode, b: BoardNode) => compareKeys(a.nameKey, b.nameKey);
const byZone = (a: BoardNode, b: BoardNode) => compareKeys(a.zoneKey, b.zoneKey) || byName(a, b);
const heldBy = ({ cells }: BoardNode) => cells.reduce((count, cell) => (cell === cachedCell ? count + 1 : count), 0);

function inOrder(nodes: BoardNode[], order: NodeOrder): BoardNode[] {
  switch (order) {
    case "zone":
      return nodes.sort(byZone);
    case "name":
      return nodes.sort(byName);
    case "busy":
      return nodes.sort((a, b) => b.bytesPerSecond - a.bytesPerSecond || b.active - a.active || byZone(a, b));
    case "empty": {
      const held = new Map(nodes.map((node) => [node, heldBy(node)]));
      return nodes.sort((a, b) => held.get(a)! - held.get(b)! || byZone(a, b));
    }
  }
}

const byImageName = (a: MapRow, b: MapRow) => compareNames(a.image.name, b.image.name);

const imageOrders: Record<ImageOrder, (a: MapRow, b: MapRow) => number> = {
  name: byImageName,
  moving: (a, b) => b.fetching - a.fetching || b.cached - a.cached || byImageName(a, b),
  cached: (a, b) => b.cached - a.cached || byImageName(a, b),
  missing: (a, b) => a.cached - b.cached || byImageName(a, b),
};

function groupsOf(nodes: readonly BoardNode[], byZones: boolean): NodeGroup[] {
  const groups: NodeGroup[] = [];
  for (const [at, { zone, lost }] of nodes.entries()) {
    const last = groups.at(-1);
    if (last && (!byZones || last.zone === zone)) {
      last.count++;
      last.lost += lost ? 1 : 0;
    } else groups.push({ zone: byZones ? zone : "", start: at, count: 1, lost: lost ? 1 : 0 });
  }
  return groups;
}

/** Space between zones, in pixels. */
const groupGap = 6;

/** Places of nodes from left to right. */
export interface MapScale {
  /** Width of one node, in pixels; below one where many share a pixel. */
  nodeWidth: number;
  width: number;
  groups: { group: NodeGroup; x: number; width: number }[];
}

/**
 * Lays the nodes out.
 *
 * @param zoom width of a node in pixels, or 0 for all of them in `viewWidth`
 */
export function mapScale(groups: readonly NodeGroup[], viewWidth: number, zoom: number): MapScale {
  const count = groups.reduce((sum, group) => sum + group.count, 0);
  const gaps = Math.max(0, groups.length - 1) * groupGap;
  const room = Math.max(0, viewWidth - gaps);
  const fitting = count === 0 ? 0 : room / count;
  // Whole pixels keep cells of like size; not where that would waste much of the width.
  const fit = Math.min(nodeWidthMax, fitting >= 6 ? Math.floor(fitting) : fitting);
  const nodeWidth = zoom === 0 ? fit : Math.max(zoom, fit);
  let x = 0;
  const placed = groups.map((group) => {
    const width = group.count * nodeWidth;
    const place = { group, x, width };
    x += width + groupGap;
    return place;
  });
  return { nodeWidth, width: Math.max(0, x - groupGap), groups: placed };
}

/** Wider cells tell no more. */
const nodeWidthMax = 22;

/** The left edge of a node. */
export function xOfNode(scale: MapScale, at: number): number {
  const place = scale.groups.find(({ group }) => at >= group.start && at < group.start + group.count);
  return place ? place.x + (at - place.group.start) * scale.nodeWidth : 0;
}

/** The node at a place; undefined between zones and beyond the last. */
export function nodeAtX(scale: MapScale, x: number): number | undefined {
  const place = scale.groups.find((one) => x >= one.x && x < one.x + one.width);
  if (!place) return undefined;
  return place.group.start + Math.min(place.group.count - 1, Math.floor((x - place.x) / scale.nodeWidth));
}

/** The nodes whose middle is in the stretch; of those that share a pixel, at least one. */
export function nodesBetween(place: MapScale["groups"][number], nodeWidth: number, from: number, to: number) {
  const first = Math.max(0, Math.floor((from - place.x) / nodeWidth));
  const last = Math.min(place.group.count, Math.max(first + 1, Math.floor((to - place.x) / nodeWidth)));
  return { start: place.group.start + first, end: place.group.start + last };
}
