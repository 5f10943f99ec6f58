import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { FetchPriority, FetchSchema, FetchState } from "../../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import {
  BoardEventKind,
  ConcernKind,
  type WatchResponse,
} from "../../../proto/gen/bootswarm/seeder/v1/dashboard_pb.js";
import { NodeState } from "../../../proto/gen/bootswarm/seeder/v1/inventory_pb.js";
import type { Image } from "../../../seeder/catalog/image.ts";
import { Board } from "../../../seeder/dashboard/board.ts";
import { imagesOnBoardMax, nodesPerMessageMax } from "../../../seeder/dashboard/limits.ts";
import type { SeenNode } from "../../../seeder/dashboard/node-row.ts";

const second = 1_000;
const seeder = {
  swarmBytesPerSecond: 0,
  httpBytesPerSecond: 0,
  peers: 0,
  fallbackSlotsInUse: 0,
  fallbackSlots: 16,
  fallbackWaiting: 0,
};
const digestOf = (letter: string) => letter.repeat(64);
const image = (letter: string, fields: Partial<Image> = {}): Image => ({
  digest: digestOf(letter),
  names: [`image-${letter}`],
  sizeBytes: 1_000,
  format: "raw",
  virtualSizeBytes: 1_000,
  torrent: { infohash: "0".repeat(40), pieceLengthBytes: 1 },
  createdAtMs: 0,
  ...fields,
});
const node = (name: string, reportedAtMs: number, fields: Partial<SeenNode> = {}, facts = {}): SeenNode => ({
  node: {
    ...{ id: `id-${name}`, name, apiUrl: "", version: "1", zone: "rack-1", cacheBytes: 0 },
    ...{ diskFreeBytes: 50, diskSizeBytes: 100, reportIntervalMs: second, ...facts },
  },
  state: "up",
  reportedAtMs,
  holdings: [],
  fetches: [],
  ...fields,
});
const holding = (letter: string) => ({
  digest: digestOf(letter),
  allocatedBytes: 1,
  pinned: false,
  lastUsedAtMs: undefined,
});
const fetch = (letter: string, fields: MessageInitShape<typeof FetchSchema> = {}) =>
  create(FetchSchema, {
    ...{ digest: digestOf(letter), state: FetchState.ACTIVE, sizeBytes: 1_000n, doneBytes: 420n },
    ...{ priority: FetchPriority.ENSURE, bytesPerSecond: 100n, swarmBytes: 420n, etaSeconds: 6, peers: 3 },
    ...fields,
  });
/** A board whose catalog has images a and b. */
function boardOf(...letters: string[]): Board {
  const board = new Board("1.2.3");
  for (const letter of letters) board.catalogChanged({ kind: "exists", image: image(letter) }, 0);
  return board;
}
const kinds = (message: WatchResponse) => message.events.map(({ kind, count }) => [BoardEventKind[kind], count]);
const whole = (board: Board): WatchResponse => {
  const [message, ...more] = board.snapshot();
  expect(more).toEqual([]);
  return message as WatchResponse;
};

test("all of the board is what every node has of every image", () => {
  const board = boardOf("a", "b");
  board.update(
    [
      node("n1", 1, { holdings: [holding("a")], fetches: [fetch("b")] }),
      node("n2", 1, { fetches: [fetch("a", { state: FetchState.QUEUED }), fetch("b", { state: FetchState.PAUSED })] }),
    ],
    seeder,
    second,
  );
  const message = whole(board);
  expect(message).toMatchObject({ reset: true, more: false, version: "1.2.3" });
  expect(message.images.map(({ index, name, sizeBytes, hasTorrent }) => [index, name, sizeBytes, hasTorrent])).toEqual([
    [0, "image-a", 1_000, true],
    [1, "image-b", 1_000, true],
  ]);
  expect(message.nodes.map(({ name, zone, state, cells }) => [name, zone, state, [...cells]])).toEqual([
    ["n1", "rack-1", NodeState.UP, [3, 142]],
    ["n2", "rack-1", NodeState.UP, [1, 2]],
  ]);
  expect(message.loads).toEqual([0, 100, 1, 0, 1, 0, 0, 2]);
  expect(message.totals).toMatchObject({
    ...{ nodesUp: 2, nodesLost: 0, images: 2, holdings: 1 },
    ...{ fetchesActive: 1, fetchesQueued: 1, fetchesPaused: 1, swarmBytesPerSecond: 100 },
  });
});

test("after that only what changes is told", () => {
  const board = boardOf("a", "b");
  const quiet = node("quiet", 1, { holdings: [holding("b")] });
  board.update([node("busy", 1, { fetches: [fetch("a")] }), quiet], seeder, second);
  const more = fetch("a", { doneBytes: 500n });
  const message = board.update([node("busy", 2, { fetches: [more] }), quiet], seeder, 2 * second);
  expect(message).toMatchObject({ reset: false, nodes: [], images: [], cells: [0, 0, 150], loads: [] });
  expect(message.lists).toMatchObject({ zones: false, progress: true, concerns: false, fetches: true });
  expect(board.update([node("busy", 2, { fetches: [more] }), quiet], seeder, 3 * second)).toMatchObject({
    ...{ nodes: [], cells: [], loads: [], progress: [], events: [] },
    lists: { zones: false, progress: false, concerns: false, fetches: false },
  });
});

test("an image that is ready, evicted or no longer fetched is an event, and a rollout is one", () => {
  const board = boardOf("a", "b", "c");
  const before = { holdings: [holding("b")], fetches: [fetch("a"), fetch("c")] };
  board.update([node("n1", 1, before), node("n2", 1, before)], seeder, second);
  const after = { holdings: [holding("a")] };
  const message = board.update([node("n1", 2, after), node("n2", 2, after)], seeder, 2 * second);
  expect(kinds(message)).toEqual([
    ["READY", 2],
    ["EVICTED", 2],
    ["FETCH_ENDED", 2],
  ]);
  expect(message.events[0]).toMatchObject({ nodeName: "n1", imageName: "image-a", digest: digestOf("a") });
});

test("a lost node keeps what it had, its fetches are not news, and it comes back", () => {
  const board = boardOf("a", "b");
  board.update([node("n1", 1, { holdings: [holding("a")], fetches: [fetch("b")] })], seeder, second);
  const lost = board.update([node("n1", 1, { state: "lost", holdings: [holding("a")] })], seeder, 9 * second);
  expect(kinds(lost)).toEqual([["NODE_LOST", 1]]);
  expect(lost.nodes).toMatchObject([{ name: "n1", state: NodeState.LOST }]);
  expect(lost.concerns).toMatchObject([{ kind: ConcernKind.NODE_LOST, nodes: [0], nodesCount: 1, text: "rack-1" }]);
  expect(lost.totals).toMatchObject({ nodesUp: 0, nodesLost: 1, holdings: 0, fetchesActive: 0 });
  const back = board.update(
    [node("n1", 9_500, { holdings: [holding("a")], fetches: [fetch("b")] })],
    seeder,
    10 * second,
  );
  expect(kinds(back)).toEqual([["NODE_BACK", 1]]);
  expect(back.concerns).toEqual([]);
});

test("a fetch for which nothing arrives is a concern, and one that moves again is none", () => {
  const board = boardOf("a");
  const at = (atMs: number, fields: MessageInitShape<typeof FetchSchema>) =>
    board.update([node("n1", atMs, { fetches: [fetch("a", fields)] })], seeder, atMs);
  const stuck = { doneBytes: 10n, bytesPerSecond: 0n, etaSeconds: undefined, activity: "looking for peers" };
  at(second, stuck);
  expect(at(10 * second, stuck).lists?.concerns).toBe(false);
  expect(at(17 * second, stuck).concerns).toMatchObject([
    { kind: ConcernKind.FETCH_STALLED, nodes: [0], image: 0, text: "looking for peers" },
  ]);
  const moving = at(18 * second, { doneBytes: 20n });
  expect([moving.lists?.concerns, moving.concerns]).toEqual([true, []]);
});

test("a node with several fetches that do not move is one concern", () => {
  const board = boardOf("a", "b");
  const stuck = { bytesPerSecond: 0n, etaSeconds: undefined };
  for (const atMs of [second, 20 * second]) {
    const busy = node("n1", atMs, { fetches: [fetch("a", stuck), fetch("b", stuck)] });
    board.update([busy, node("n2", atMs, { fetches: [fetch("b", stuck)] })], seeder, atMs);
  }
  const { concerns } = whole(board);
  expect(concerns).toMatchObject([{ kind: ConcernKind.FETCH_STALLED, nodes: [0, 1], nodesCount: 2 }]);
  expect(concerns[0]?.image).toBeUndefined();
});

test("the image that is ready last comes first, with the node that keeps it waiting", () => {
  const board = boardOf("a", "b");
  board.update(
    [
      node("fast", 1, { fetches: [fetch("a", { etaSeconds: 5 }), fetch("b", { etaSeconds: 7 })] }),
      node("slow", 1, { fetches: [fetch("a", { etaSeconds: 50 })] }),
    ],
    seeder,
    second,
  );
  expect(whole(board).progress).toMatchObject([
    {
      image: 0,
      active: 2,
      waiting: 0,
      doneBytes: 840,
      totalBytes: 2_000,
      bytesPerSecond: 200,
      etaSeconds: 50,
      lastNode: 1,
    },
    { image: 1, active: 1, etaSeconds: 7, lastNode: 0 },
  ]);
});

test("a rate is divided between peers and HTTP by what came since the report before", () => {
  const board = boardOf("a");
  const at = (atMs: number, swarmBytes: bigint, httpBytes: bigint) =>
    board.update([node("n1", atMs, { fetches: [fetch("a", { swarmBytes, httpBytes })] })], seeder, atMs).totals;
  expect(at(second, 0n, 400n)).toMatchObject({ swarmBytesPerSecond: 0, httpBytesPerSecond: 100 });
  expect(at(2 * second, 300n, 500n)).toMatchObject({ swarmBytesPerSecond: 75, httpBytesPerSecond: 25 });
});

test("pieces that fail their check are an event and a concern, but not those of an earlier run", () => {
  const board = boardOf();
  const view = [node("n1", 1)];
  const report = (epoch: bigint, pieceVerifyFailures: number) =>
    board.reported(
      { ...{ node: view[0]!.node, epoch, pieceVerifyFailures, sequence: 1n, full: false }, ...nothing },
      2 * second,
    );
  const nothing = { holdings: [], removedDigests: [], fetches: [], peer: undefined, holdingsChecksum: undefined };
  report(1n, 7);
  board.update(view, seeder, second);
  expect(whole(board).concerns).toEqual([]);
  report(1n, 9);
  report(2n, 1);
  const message = board.update(view, seeder, 2 * second);
  expect(kinds(message)).toEqual([["VERIFY_FAILED", 3]]);
  expect(message.concerns).toMatchObject([{ kind: ConcernKind.VERIFY_FAILURES, nodes: [0], text: "3 pieces" }]);
});

test("a retired image stays while nodes have it; boot images have no place", () => {
  const board = boardOf("a");
  const boot = image("f", { format: "boot", boot: { of: digestOf("a"), sources: [] } });
  board.catalogChanged({ kind: "exists", image: boot }, 0);
  const has = node("n1", 1, { holdings: [holding("a"), holding("f")] });
  board.update([has], seeder, second);
  board.catalogChanged({ kind: "retired", image: { ...image("a"), names: [] } }, second);
  board.catalogChanged({ kind: "retired", image: { ...boot, names: [] } }, second);
  const retired = board.update([has], seeder, 2 * second);
  expect(kinds(retired)).toEqual([["RETIRED", 1]]);
  expect(whole(board).images).toMatchObject([{ name: "image-a", inCatalog: false }]);
  board.update([node("n1", 2)], seeder, 3 * second);
  expect(board.update([node("n1", 2)], seeder, 4 * second).imagesGone).toEqual([0]);
});

test("an image that only nodes know has a place by the name that they know", () => {
  const board = boardOf();
  const busy = node("n1", 1, { fetches: [fetch("d", { name: "foreign" })] });
  board.update([busy], seeder, second);
  const message = board.update([busy], seeder, 2 * second);
  expect(message.images).toMatchObject([{ digest: digestOf("d"), name: "foreign", inCatalog: false }]);
  expect(message.cells).toEqual([0, 0, 142]);
});

test("there is room for so many images, and those that nodes have come first", () => {
  const board = new Board("");
  for (let number = 0; number < imagesOnBoardMax + 3; number++) {
    const digest = number.toString(16).padStart(64, "0");
    board.catalogChanged({ kind: "exists", image: image("a", { digest, names: [`n${number}`] }) }, 0);
  }
  const last = (imagesOnBoardMax + 2).toString(16).padStart(64, "0");
  const has = node("n1", 1, { holdings: [{ ...holding("a"), digest: last }] });
  board.update([has], seeder, second);
  expect(whole(board)).toMatchObject({ imagesLeftOut: 3 });
  board.update([has], seeder, 2 * second);
  const message = whole(board);
  expect([message.images.length, message.imagesLeftOut]).toEqual([imagesOnBoardMax, 3]);
  expect(message.images.some(({ digest }) => digest === last)).toBe(true);
});

test("a forgotten node is gone, and a large board is told in several messages of one moment", () => {
  const board = boardOf("a");
  const nodes = Array.from({ length: nodesPerMessageMax + 1 }, (_, index) =>
    node(`n${index}`, 1, { holdings: [holding("a")] }),
  );
  board.update(nodes, seeder, second);
  const messages = board.snapshot();
  expect(messages.map(({ reset, more, nodes: { length } }) => [reset, more, length])).toEqual([
    [true, true, nodesPerMessageMax],
    [false, false, 1],
  ]);
  expect(board.update(nodes.slice(1), seeder, 2 * second).nodesGone).toEqual([0]);
  expect(messages.every(({ at }) => at && timestampMs(at) === second)).toBe(true);
});
