/** An image that comes by HTTP alone while a VM boots from its boot image: a fetch, a cache and an origin, on a clock that stands. */
import { randomBytes } from "node:crypto";
import { expect, onTestFinished, test } from "vitest";
import { ImageCache } from "../../../agent/cache/image-cache.ts";
import { stateLayout } from "../../../agent/cache/layout.ts";
import type { ImageFacts } from "../../../agent/cache/records.ts";
import { Demand } from "../../../agent/disk/demand.ts";
import { Fetch } from "../../../agent/fetch/fetch.ts";
import { HttpOrigin } from "../../../agent/fetch/http-origin.ts";
import { RatePace } from "../../../agent/fetch/pace.ts";
import { createLog } from "../../../daemon/log.ts";
import { Swarm } from "../../../swarm/swarm.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";
import { ManualClock, until } from "../swarm/manual-clock.ts";
import { sha256, startScriptedSeeder } from "./scripted-seeder.ts";

const bytes = randomBytes(2 * 1024 * 1024);
const digest = sha256(bytes);
const facts: ImageFacts = {
  ...{ digest, names: ["image"], sizeBytes: bytes.length, virtualSizeBytes: bytes.length, format: "raw" },
  ...{ magnetUri: "", infohash: "", dataPath: `/images/${digest}/data` },
};

async function startFetch() {
  const seeder = await startScriptedSeeder([{ name: "image", bytes }]);
  const clock = new ManualClock();
  const log = createLog({ level: "silent", name: "test" });
  const now = () => new Date();
  const cache = await ImageCache.open(stateLayout(await temporaryDirectory()), now, log);
  const swarm = await Swarm.open({ host: "127.0.0.1", port: 0, dhtPort: 0 });
  const origin = new HttpOrigin({ url: seeder.url, failed: () => {} }, { nodeId: "node", fallback: "always" });
  onTestFinished(async () => {
    await origin.close();
    await swarm.close();
  });
  const readers = new Demand(clock);
  const patience = { swarmPatienceMs: 1e9, stallMs: 1e9, demandPatienceMs: 1e9, giveUpMs: 1e9 };
  const rules = { fallback: "always", ...patience } as const;
  const tools = { cache, swarm, origin, rules, seederPeers: () => [], readers, clock, now, random: Math.random, log };
  await cache.begin(facts, { name: "image", priority: "demand", requestedAt: now().toISOString() });
  const fetch = new Fetch(tools, {
    ...{ facts, name: "image", priority: "demand", requestedAt: now(), ahead: undefined },
    pace: new RatePace(clock, () => 0),
    isHeldBack: () => false,
    isBooting: () => true,
    onState: () => {},
    lacksRoom: async () => undefined,
  });
  onTestFinished(() => fetch.cancel());
  fetch.start();
  return { fetch, readers, clock };
}

test("a read that waits ends the wait of the image's rest, which it could not be served without", async () => {
  const { fetch, readers, clock } = await startFetch();
  await until(() => fetch.view().doneBytes > 0);
  await clock.advance(1_000);
  expect(fetch.view().doneBytes).toBeLessThan(bytes.length / 2);
  readers.demand(digest, [{ offset: bytes.length - 4_096, length: 4_096, ahead: false }]);
  await clock.advance(100);
  await fetch.ended;
  expect(fetch.state).toBe("ready");
});
