import { expect, test } from "vitest";
import { badSendersMax } from "../../../swarm/limits.ts";
import { Tally } from "../../../swarm/tally.ts";
import { ManualClock } from "./manual-clock.ts";

function tally() {
  const node = { received: 0, sent: 0, failures: 0 };
  const clock = new ManualClock();
  const counts = new Tally({
    clock,
    countReceived: (bytes) => {
      node.received += bytes;
    },
    countSent: (bytes) => {
      node.sent += bytes;
    },
    countVerifyFailure: () => {
      node.failures++;
    },
  });
  return { counts, node, clock };
}

test("what peers and sources send is counted apart, and the node's total has only what peers sent", async () => {
  const { counts, node, clock } = tally();
  counts.received(100, "peer");
  counts.receivedFromAfar(40);
  counts.received(7, "source");
  counts.sent(3);
  await clock.advance(500);
  expect(counts.status(clock.now())).toMatchObject({
    ...{ swarmBytes: 100, farBytes: 40, sourceBytes: 7, sentBytes: 3, verifyFailures: 0, msSinceProgress: 500 },
  });
  expect(node).toEqual({ received: 100, sent: 3, failures: 0 });
});

test("those who sent bad pieces are named with how many, and only so many of them are remembered", () => {
  const { counts, node } = tally();
  counts.verifyFailed(["a:1", "b:1"]);
  counts.verifyFailed(["a:1"]);
  expect(counts.badSenders).toEqual(
    new Map([
      ["a:1", 2],
      ["b:1", 1],
    ]),
  );
  for (let sender = 0; sender < badSendersMax; sender++) counts.verifyFailed([`c:${sender}`]);
  counts.verifyFailed(["b:1"]);
  expect(counts.badSenders.size).toBe(badSendersMax);
  expect(counts.badSenders.get("b:1")).toBe(2);
  expect(node.failures).toBe(badSendersMax + 3);
});
