/** What the page knows, told message by message as JSON, is what the seeder's board is. */
import { create, type MessageInitShape, toJson } from "@bufbuild/protobuf";
import fc from "fast-check";
import { expect, test } from "vitest";
import { FetchPriority, FetchSchema, FetchState } from "../../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import type { WatchResponse } from "../../../proto/gen/bootswarm/seeder/v1/dashboard_pb.js";
import { WatchResponseSchema } from "../../../proto/gen/bootswarm/seeder/v1/dashboard_pb.js";
import { Board } from "../../../seeder/dashboard/board.ts";
import type { SeenNode } from "../../../seeder/dashboard/node-row.ts";
import { emptyBoard, nextBoard, type Board as PageBoard } from "../../../seeder/web/page/board-state.ts";

const seeder = {
  ...{ swarmBytesPerSecond: 0, httpBytesPerSecond: 0, peers: 0 },
  ...{ fallbackSlotsInUse: 0, fallbackSlots: 16, fallbackWaiting: 0 },
};
const digestOf = (image: number) => String(image).repeat(64);
const tell = (page: PageBoard, message: WatchResponse) => nextBoard(page, toJson(WatchResponseSchema, message));

/** One node's part in one image: 0 nothing, 1 held, 2 to 5 a fetch in some state. */
type Part = number;

function siteOf(nodes: readonly (readonly Part[])[], atMs: number): SeenNode[] {
  return nodes.flatMap((parts, index) => {
    const [kind = 0, ...images] = parts;
    // Some nodes are not there, or lost.
    if (kind === 0) return [];
    const fetches = images.flatMap((part, image) => (part < 2 ? [] : [fetchOf(image, part, atMs)]));
    return [
      {
        node: {
          ...{ id: `id-${index}`, name: `n${index}`, apiUrl: "", version: "1", zone: `z${index % 2}`, cacheBytes: 0 },
          ...{ diskFreeBytes: 50, diskSizeBytes: 100, reportIntervalMs: 1_000 },
        },
        state: kind === 1 ? ("lost" as const) : ("up" as const),
        reportedAtMs: atMs,
        holdings: images.flatMap((part, image) =>
          part === 1 ? [{ digest: digestOf(image), allocatedBytes: 1, pinned: false, lastUsedAtMs: undefined }] : [],
        ),
        fetches: kind === 1 ? [] : fetches,
      },
    ];
  });
}

function fetchOf(image: number, part: Part, atMs: number) {
  const states = [FetchState.QUEUED, FetchState.ACTIVE, FetchState.VERIFYING, FetchState.PAUSED];
  const fields: MessageInitShape<typeof FetchSchema> = {
    ...{ digest: digestOf(image), name: `i${image}`, state: states[part - 2], priority: FetchPriority.ENSURE },
    ...{ sizeBytes: 100n, doneBytes: BigInt(atMs % 101), bytesPerSecond: BigInt(atMs % 7), swarmBytes: BigInt(atMs) },
  };
  return create(FetchSchema, fields);
}

const plain = (page: PageBoard) => ({
  ...page,
  nodes: [...page.nodes.values()]
    .sort((a, b) => a.index - b.index)
    // Cells that are missing at the end are absent; when a node that is there last reported is not kept current.
    .map(({ cells, reportedAtMs: _, ...node }) => ({ ...node, cells: `${[...cells]}`.replace(/(,0)*$|^0(,0)*$/, "") })),
  images: [...page.images.values()].sort((a, b) => a.index - b.index),
});

test("whatever happens, the changes lead to the same board as being told all of it", () => {
  const part = fc.integer({ min: 0, max: 5 });
  const site = fc.array(fc.array(part, { minLength: 4, maxLength: 4 }), { maxLength: 5 });
  fc.assert(
    fc.property(fc.array(site, { minLength: 2, maxLength: 8 }), (sites) => {
      const board = new Board("1");
      let page: PageBoard | undefined;
      for (const [step, nodes] of sites.entries()) {
        const atMs = 1_000 * (step + 1) + step;
        const message = board.update(siteOf(nodes, atMs), seeder, atMs);
        page = page ? tell(page, message) : board.snapshot().reduce(tell, emptyBoard);
      }
      const anew = board.snapshot().reduce(tell, emptyBoard);
      expect(plain(page ?? emptyBoard)).toEqual(plain(anew));
    }),
    { numRuns: 150 },
  );
});

test("a state is not changed by the next one", () => {
  const start = nextBoard(emptyBoard, {
    ...{ reset: true, at: "2026-01-01T00:00:00Z", images: [{ digest: "a".repeat(64) }] },
    nodes: [{ id: "n", name: "n", state: "NODE_STATE_UP", cells: "Aw==" }],
  });
  const next = nextBoard(start, { at: "2026-01-01T00:00:01Z", cells: [0, 0, 142, 0, 3, 1], loads: [0, 5, 1, 2] });
  expect([...start.nodes.get(0)!.cells]).toEqual([3]);
  expect(next.nodes.get(0)).toMatchObject({ bytesPerSecond: 5, active: 1, waiting: 2 });
  expect([...next.nodes.get(0)!.cells]).toEqual([142, 0, 0, 1]);
});

test("a moment told in several messages is complete with the last", () => {
  const first = nextBoard(emptyBoard, { reset: true, more: true, nodes: [{ id: "a" }] });
  expect(first.complete).toBe(false);
  const last = nextBoard(first, { nodes: [{ id: "b", index: 1 }], totals: { nodesUp: 2 } });
  expect([last.complete, last.nodes.size, last.totals.nodesUp]).toEqual([true, 2, 2]);
});

test("an event that happened again stands at the top, once", () => {
  const at = (second: number) => `2026-01-01T00:00:0${second}Z`;
  const board = nextBoard(emptyBoard, {
    events: [
      { number: 1, at: at(1), count: 1 },
      { number: 2, at: at(2), count: 1 },
    ],
  });
  const next = nextBoard(board, { events: [{ number: 1, at: at(3), count: 7 }] });
  expect(next.events).toMatchObject([{ number: 1, count: 7 }, { number: 2 }]);
});
