import { expect, test } from "vitest";
import { DownloadLimit } from "../../../swarm/download-limit.ts";
import { ManualClock } from "./manual-clock.ts";

const rate = 1_000;

function setUp() {
  const clock = new ManualClock();
  const lastDemand = { atMs: Number.NEGATIVE_INFINITY };
  return { clock, lastDemand, limit: new DownloadLimit(rate, clock, lastDemand) };
}

test("connections are left unread while more has come than may, and looked at again soon", async () => {
  const { clock, limit } = setUp();
  expect(limit.restMs()).toBe(0);
  limit.received(10 * rate);
  expect(limit.restMs()).toBe(50);
  await clock.advance(9_000);
  expect(limit.restMs()).toBeGreaterThan(0);
  await clock.advance(1_000);
  expect(limit.restMs()).toBe(0);
});

test("while somebody waits for a piece every connection is read, and nothing else is asked for beyond the rate", async () => {
  const { clock, lastDemand, limit } = setUp();
  limit.received(10 * rate);
  expect(limit.roomBytes()).toBe(Number.POSITIVE_INFINITY);
  lastDemand.atMs = clock.now();
  expect([limit.restMs(), limit.roomBytes()]).toEqual([0, 0]);
  await clock.advance(1_000);
  expect([limit.restMs(), limit.roomBytes()]).toEqual([50, Number.POSITIVE_INFINITY]);
});

test("the rest makes up for what was waited for, but for a second at the most", async () => {
  const { clock, lastDemand, limit } = setUp();
  lastDemand.atMs = clock.now();
  limit.received(1_000 * rate);
  expect(limit.roomBytes()).toBe(0);
  lastDemand.atMs = Number.NEGATIVE_INFINITY;
  expect(limit.restMs()).toBe(50);
  await clock.advance(1_001);
  expect(limit.restMs()).toBe(0);
});
