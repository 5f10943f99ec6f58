/** A fetch that waits for the disk and is cancelled in the very moment in which the disk takes more. */
import { expect, onTestFinished, test } from "vitest";
import { ImageCache } from "../../../agent/cache/image-cache.ts";
import { stateLayout } from "../../../agent/cache/layout.ts";
import type { ImageFacts } from "../../../agent/cache/records.ts";
import { Fetch } from "../../../agent/fetch/fetch.ts";
import { HttpOrigin } from "../../../agent/fetch/http-origin.ts";
import { RatePace } from "../../../agent/fetch/pace.ts";
import { createLog } from "../../../daemon/log.ts";
import { Problem } from "../../../daemon/problem.ts";
import { Swarm } from "../../../swarm/swarm.ts";
import type { Clock } from "../../../swarm/types.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";

const digest = "d".repeat(64);
const facts: ImageFacts = {
  ...{ digest, names: ["image"], sizeBytes: 1, virtualSizeBytes: 1, format: "raw" },
  ...{ magnetUri: "", infohash: "", dataPath: `/images/${digest}/data` },
};
/** Turns of the event loop between the disk's answer and the cancellation: more than there are steps between them. */
const turnsMax = 16;
/** Every wait is over at once. */
const clock: Clock = {
  now: () => performance.now(),
  after: (_delayMs, run) => {
    const turn = setImmediate(run);
    return () => clearImmediate(turn);
  },
};

test("it ends, however soon after", async () => {
  const log = createLog({ level: "silent", name: "test" });
  const now = () => new Date();
  const cache = await ImageCache.open(stateLayout(await temporaryDirectory()), now, log);
  const swarm = await Swarm.open({ host: "127.0.0.1", port: 0, dhtPort: 0 });
  const origin = new HttpOrigin({ url: "http://127.0.0.1:9", failed: () => {} }, { nodeId: "node", fallback: "off" });
  onTestFinished(async () => {
    await origin.close();
    await swarm.close();
  });
  const patience = { swarmPatienceMs: 1e9, stallMs: 1e9, demandPatienceMs: 1e9, giveUpMs: 1e9 };
  const rules = { fallback: "off", ...patience } as const;
  const tools = { cache, swarm, origin, rules, seederPeers: () => [], clock, now, random: Math.random, log };
  const asked = { name: "image", priority: "ensure", requestedAt: now() } as const;
  for (let turns = 0; turns < turnsMax; turns++) {
    await cache.begin(facts, { ...asked, requestedAt: asked.requestedAt.toISOString() });
    const room = Promise.withResolvers<undefined>();
    const fetch = new Fetch(tools, {
      ...{ facts, ...asked, ahead: undefined, pace: new RatePace(clock, () => 0) },
      isHeldBack: () => false,
      isBooting: () => false,
      onState: () => fetch.start(),
      lacksRoom: async () => {
        room.resolve(undefined);
        return undefined;
      },
    });
    fetch.startPaused("full", new Problem("exhausted", "the disk is full"), 0);
    await room.promise;
    for (let turn = 0; turn < turns; turn++) await undefined;
    const cancelled = fetch.cancel();
    // Nothing but the disk is waited for, which answers within some turns.
    const outcome = await Promise.race([cancelled.then(() => "ended"), manyTurns().then(() => "hangs")]);
    expect({ turns, outcome }).toEqual({ turns, outcome: "ended" });
    expect(fetch.state).toBe("cancelled");
  }
});

async function manyTurns(): Promise<void> {
  const deadlineMs = performance.now() + 10_000;
  while (performance.now() < deadlineMs) await new Promise((resolve) => setTimeout(resolve, 20));
}
