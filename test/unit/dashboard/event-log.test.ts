import { expect, test } from "vitest";
import { BoardEventKind } from "../../../proto/gen/bootswarm/seeder/v1/dashboard_pb.js";
import { EventLog } from "../../../seeder/events/event-log.ts";

const image = { digest: "a".repeat(64), name: "debian" };
const node = (name: string) => ({ id: name, name });

test("the same on other nodes shortly after is the same event, and is told of again", () => {
  const log = new EventLog();
  log.record({ kind: BoardEventKind.READY, node: node("n1"), image }, 0);
  expect(log.takeChanged()).toMatchObject([{ number: 1, count: 1 }]);
  log.record({ kind: BoardEventKind.READY, node: node("n2"), image }, 20_000);
  expect(log.takeChanged()).toMatchObject([{ number: 1, count: 2, atMs: 20_000, node: { name: "n1" } }]);
  log.record({ kind: BoardEventKind.READY, node: node("n3"), image }, 60_000);
  expect(log.takeChanged()).toMatchObject([{ number: 2, count: 1 }]);
  expect(log.takeChanged()).toEqual([]);
  expect(log.all().map(({ number }) => number)).toEqual([1, 2]);
});

test("publishing is an event of its own each time; failed checks are told apart by node", () => {
  const log = new EventLog();
  for (let time = 0; time < 2; time++) log.record({ kind: BoardEventKind.PUBLISHED, image }, 0);
  for (const name of ["n1", "n2", "n1"]) {
    log.record({ kind: BoardEventKind.VERIFY_FAILED, node: node(name), count: 4 }, 0);
  }
  expect(log.all().map(({ count }) => count)).toEqual([1, 1, 8, 4]);
});

test("the oldest go when there are too many", () => {
  const log = new EventLog();
  for (let time = 0; time < 700; time++) log.record({ kind: BoardEventKind.PUBLISHED, image }, time);
  const all = log.all();
  expect([all.length, all[0]?.number, all.at(-1)?.number]).toEqual([500, 201, 700]);
});
