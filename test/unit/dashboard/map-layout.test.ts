import { expect, test } from "vitest";
import {
  type Board,
  type BoardImage,
  type BoardNode,
  emptyBoard,
  sortKey,
} from "../../../seeder/web/page/board-state.ts";
import { movedCursor } from "../../../seeder/web/page/map-cursor.ts";
import { mapContent, mapScale, nodeAtX, nodesBetween, xOfNode } from "../../../seeder/web/page/map-layout.ts";

const node = (index: number, name: string, zone: string, cells: number[], fields: Partial<BoardNode> = {}) => ({
  ...{
    index,
    id: name,
    name,
    zone,
    nameKey: sortKey(name),
    zoneKey: sortKey(zone),
    lost: false,
    reportedAtMs: 0,
    cells: Uint8Array.from(cells),
  },
  ...{ bytesPerSecond: 0, active: 0, waiting: 0, ...fields },
});
const image = (index: number, name: string): BoardImage => ({
  ...{ index, digest: `${index}`.repeat(64), name, sizeBytes: 1, inCatalog: true, hasTorrent: true },
});
const byIndex = <T extends { index: number }>(items: T[]) => new Map(items.map((item) => [item.index, item]));
const board: Board = {
  ...emptyBoard,
  images: byIndex([image(0, "debian-12"), image(1, "ubuntu"), image(2, "debian-11")]),
  nodes: byIndex([
    node(0, "n10", "rack-2", [3, 1]),
    node(1, "n2", "rack-2", [3, 140, 3], { bytesPerSecond: 9, active: 1 }),
    node(2, "n1", "rack-10", [3, 3], { lost: true }),
    node(3, "n3", "", []),
  ]),
};
const choice = { filter: "", imageOrder: "name", nodeOrder: "zone" } as const;
const names = (content: ReturnType<typeof mapContent>) => ({
  rows: content.rows.map((row) => row.image.name),
  nodes: content.nodes.map(({ name }) => name),
});

test("nodes stand together by zone, and numbers in names count as numbers", () => {
  const content = mapContent(board, choice);
  expect(names(content)).toEqual({
    rows: ["debian-11", "debian-12", "ubuntu"],
    nodes: ["n3", "n2", "n10", "n1"],
  });
  expect(content.groups).toEqual([
    { zone: "", start: 0, count: 1, lost: 0 },
    { zone: "rack-2", start: 1, count: 2, lost: 0 },
    { zone: "rack-10", start: 3, count: 1, lost: 1 },
  ]);
});

test("an image's row counts the nodes that are shown", () => {
  const rows = (filter: string) =>
    mapContent(board, { ...choice, filter }).rows.map(({ image: { name }, cached, fetching }) => [
      name,
      cached,
      fetching,
    ]);
  expect(rows("")).toEqual([
    ["debian-11", 1, 0],
    ["debian-12", 3, 0],
    ["ubuntu", 1, 2],
  ]);
  expect(rows("rack-2 ubuntu")).toEqual([["ubuntu", 0, 2]]);
});

test("each word of the filter is of nodes and zones, or else of images", () => {
  const shown = (filter: string) => names(mapContent(board, { ...choice, filter }));
  expect(shown("RACK-2")).toEqual({ rows: ["debian-11", "debian-12", "ubuntu"], nodes: ["n2", "n10"] });
  expect(shown("debian")).toEqual({ rows: ["debian-11", "debian-12"], nodes: ["n3", "n2", "n10", "n1"] });
  expect(shown("n10 deb 12")).toEqual({ rows: ["debian-12"], nodes: ["n10"] });
  expect(shown("nothing").rows).toEqual([]);
});

test("images and nodes come in the order that is chosen", () => {
  const order = (more: object) => names(mapContent(board, { ...choice, ...more }));
  expect(order({ imageOrder: "moving" }).rows).toEqual(["ubuntu", "debian-12", "debian-11"]);
  expect(order({ imageOrder: "cached" }).rows).toEqual(["debian-12", "debian-11", "ubuntu"]);
  expect(order({ imageOrder: "missing" }).rows).toEqual(["debian-11", "ubuntu", "debian-12"]);
  expect(order({ nodeOrder: "busy" }).nodes[0]).toBe("n2");
  expect(order({ nodeOrder: "empty" }).nodes).toEqual(["n3", "n10", "n2", "n1"]);
});

test("all nodes fit the width, or are as wide as is wanted; what is under a place is found again", () => {
  const groups = [
    { zone: "a", start: 0, count: 1_000, lost: 0 },
    { zone: "b", start: 1_000, count: 1_000, lost: 0 },
  ];
  const fit = mapScale(groups, 806, 0);
  expect([fit.width, fit.nodeWidth]).toEqual([806, 0.4]);
  const wide = mapScale(groups, 806, 8);
  expect([wide.nodeWidth, wide.width]).toEqual([8, 16_006]);
  for (const scale of [fit, wide]) {
    for (const at of [0, 1, 999, 1_000, 1_999])
      expect(nodeAtX(scale, xOfNode(scale, at) + scale.nodeWidth / 2)).toBe(at);
    expect(nodeAtX(scale, scale.groups[0]!.width + 1)).toBeUndefined();
    expect(nodeAtX(scale, scale.width + 1)).toBeUndefined();
  }
});

test("stretches of a zone have all of its nodes, and none of another's", () => {
  const scale = mapScale([{ zone: "a", start: 5, count: 333, lost: 0 }], 100, 0);
  const place = scale.groups[0]!;
  const seen = new Set<number>();
  for (let x = 0; x < place.width; x += 3) {
    const { start, end } = nodesBetween(place, scale.nodeWidth, x, Math.min(x + 3, place.width));
    for (let at = start; at < end; at++) seen.add(at);
  }
  expect([seen.size, Math.min(...seen), Math.max(...seen)]).toEqual([333, 5, 337]);
});

test("keys move the cursor, and never off the map", () => {
  const size = { rows: 30, nodes: 100 };
  const at = { row: 5, node: 50 };
  expect(movedCursor(at, "ArrowRight", false, size)).toEqual({ row: 5, node: 51 });
  expect(movedCursor(at, "ArrowLeft", true, size)).toEqual({ row: 5, node: 40 });
  expect(movedCursor(at, "ArrowUp", true, size)).toEqual({ row: 0, node: 50 });
  expect(movedCursor(at, "PageDown", false, size)).toEqual({ row: 15, node: 50 });
  expect(movedCursor(at, "End", true, size)).toEqual({ row: 29, node: 99 });
  expect(movedCursor(at, "Home", false, size)).toEqual({ row: 5, node: 0 });
  expect(movedCursor(at, "x", false, size)).toBeUndefined();
});
