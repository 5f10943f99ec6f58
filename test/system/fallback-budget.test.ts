/** What nodes take from the origin while the swarm works, and while the DHT and the seeder's peer port are away. */
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Fetch } from "../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import { ensure, metric, publish, startAgent, startSeeder, type TestSeeder } from "../fixtures/daemons.ts";
import { makeRandomFile, sha256Of } from "../fixtures/disks.ts";
import { temporaryDirectory } from "../fixtures/temporary-directory.ts";

const mebibyte = 1024 * 1024;
const nodes = 4;
const slots = 2;
const bytesPerSecond = 2 * mebibyte;
/** What the origin may send at once after a pause: a tenth of a second's bytes; and the parts that are on their way. */
const burstBytes = bytesPerSecond / 10 + slots * mebibyte;
const fallbackBytes = 'bootswarm_seeder_fallback_sent_bytes_total{mode="budgeted"}';

/** Has every node fetch the image at once, and looks again and again at what the origin does meanwhile. */
async function fetchOnAll(settings: Record<string, string | number>) {
  const directory = await temporaryDirectory();
  const seeder = await startSeeder(join(directory, "seeder"), settings);
  const image = await publish(seeder, await makeRandomFile(directory, "image", 12), "image");
  const agents = await Promise.all(
    Array.from({ length: nodes }, (_, n) => startAgent(seeder.url, join(directory, `node-${n}`), {}, `node-${n}`)),
  );
  const startMs = performance.now();
  let isOver = false;
  const watching = watchOrigin(seeder, () => isOver);
  const results = await Promise.all(agents.map((agent) => ensure(agent, "image"))).finally(() => {
    isOver = true;
  });
  const origin = { ...(await watching), bytes: await metric(seeder, fallbackBytes) };
  const seconds = (performance.now() - startMs) / 1_000;
  for (const { path } of results) expect(await sha256Of(path)).toBe(image.digest);
  return { seeder, image, fetches: results.map(({ fetch }) => fetch), origin, seconds };
}

async function watchOrigin(seeder: TestSeeder, isOver: () => boolean) {
  let slotsMax = 0;
  while (!isOver()) {
    slotsMax = Math.max(slotsMax, await metric(seeder, "bootswarm_seeder_fallback_slots_in_use"));
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return { slotsMax };
}

const httpBytesOf = (fetches: Fetch[]) => fetches.reduce((sum, { httpBytes }) => sum + Number(httpBytes), 0);

test("with the DHT and the seeder's peers away, all nodes end within the origin's budget, and trade what they get", async () => {
  const budget = { "origin.fallbackSlots": slots, "origin.fallbackBytesPerSecond": bytesPerSecond };
  // The seeder tells its ports at the address by which it is reached; there, nobody listens.
  const { image, fetches, origin, seconds } = await fetchOnAll({ "swarm.host": "127.0.0.2", ...budget });
  expect(origin.slotsMax).toBeLessThanOrEqual(slots);
  expect(origin.bytes).toBeLessThanOrEqual(bytesPerSecond * seconds + burstBytes);
  // Together they have taken all of it from the origin, and less than each for itself.
  const httpBytes = httpBytesOf(fetches);
  expect(httpBytes).toBeGreaterThanOrEqual(Number(image.sizeBytes));
  expect(httpBytes).toBeLessThan(nodes * Number(image.sizeBytes));
  // One that is well ahead of the others may find nothing to take from them; they take from it.
  expect(fetches.filter(({ swarmBytes }) => swarmBytes > 0n).length).toBeGreaterThanOrEqual(nodes - 1);
});

test("with the swarm in order, no byte of an image comes by HTTP", async () => {
  const { seeder, fetches } = await fetchOnAll({});
  expect(httpBytesOf(fetches)).toBe(0);
  expect(await metric(seeder, "bootswarm_seeder_origin_sent_bytes_total")).toBe(0);
});
