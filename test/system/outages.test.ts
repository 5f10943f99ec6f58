/** Processes die in the middle of fetches, and the fetches end all the same. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { FetchState } from "../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import type { Image } from "../../proto/gen/bootswarm/image/v1/image_pb.js";
import { contentFrom } from "../../swarm/have-file.ts";
import { ensure, fetchOf, metric, publish, startAgent, startSeeder } from "../fixtures/daemons.ts";
import { makeRandomFile, sha256Of } from "../fixtures/disks.ts";
import { eventually } from "../fixtures/processes.ts";
import { temporaryDirectory } from "../fixtures/temporary-directory.ts";

const mebibyte = 1024 * 1024;

test("the seeder dies while nodes together hold all pieces, and every node's fetch ends", async () => {
  const directory = await temporaryDirectory();
  const seeder = await startSeeder(join(directory, "seeder"), { "swarm.uploadBytesPerSecondMax": 16 * mebibyte });
  const image = await publish(seeder, await makeRandomFile(directory, "image", 48), "image");
  const pieceCount = pieceCountOf(image);
  const states = [1, 2, 3].map((n) => join(directory, `node-${n}`));
  // Nodes pass on less than the seeder gives, so that none is done when together they have everything.
  const agents = await Promise.all(
    states.map((state, n) =>
      startAgent(seeder.url, state, { "swarm.uploadBytesPerSecondMax": 3 * mebibyte }, `node-${n + 1}`),
    ),
  );
  const fetching = Promise.all(agents.map((agent) => ensure(agent, "image")));
  // So that it is no unhandled rejection if the wait below fails first.
  fetching.catch(() => {});
  await eventually(async () => {
    const fields = await Promise.all(states.map((state) => havesOnDisk(state, image)));
    // One that knows only the seeder cannot know where else to turn when it dies at that moment.
    const known = (await Promise.all(agents.map((agent) => fetchOf(agent, image.digest)))).map((fetch) => fetch?.peers);
    return countOfUnion(fields) >= pieceCount && known.every((peers) => (peers ?? 0) >= 2) ? true : undefined;
  }, "the nodes know each other and together hold all pieces");
  const fetches = await Promise.all(agents.map((agent) => fetchOf(agent, image.digest)));
  await seeder.process.kill("SIGKILL");
  expect(fetches.filter((fetch) => fetch?.state === FetchState.READY)).toEqual([]);
  for (const { path, fetch } of await fetching) {
    expect(await sha256Of(path)).toBe(image.digest);
    expect(fetch.httpBytes).toBe(0n);
  }
});

/** The pieces that a node's restart would believe in. */
async function havesOnDisk(state: string, image: Image): Promise<Uint8Array> {
  const bytes = await readFile(join(state, "images", image.digest, "have")).catch(() => Buffer.alloc(0));
  const { slots } = contentFrom(bytes, { infohash: image.infohash, pieceCount: pieceCountOf(image) });
  const whole = slots.filter((slot) => slot !== undefined).sort((a, b) => b.generation - a.generation);
  return whole[0]?.have.bytes ?? new Uint8Array();
}

function pieceCountOf(image: Image): number {
  return Math.ceil(Number(image.sizeBytes) / image.pieceLengthBytes);
}

/** How many bits are set in any of the bitmaps. */
function countOfUnion(bitmaps: Uint8Array[]): number {
  let count = 0;
  for (let index = 0; index < Math.max(...bitmaps.map((bitmap) => bitmap.length)); index++) {
    let byte = bitmaps.reduce((union, bitmap) => union | (bitmap[index] ?? 0), 0);
    for (; byte > 0; byte &= byte - 1) count++;
  }
  return count;
}

test("an agent killed in the middle of a fetch goes on from what it had", async () => {
  const directory = await temporaryDirectory();
  const seeder = await startSeeder(join(directory, "seeder"), { "swarm.uploadBytesPerSecondMax": 8 * mebibyte });
  const image = await publish(seeder, await makeRandomFile(directory, "image", 48), "image");
  const state = join(directory, "node");
  const agent = await startAgent(seeder.url, state);
  const interrupted = ensure(agent, "image").catch(() => {});
  await eventually(async () => {
    return countOfUnion([await havesOnDisk(state, image)]) > pieceCountOf(image) / 2 ? true : undefined;
  }, "half of the image is here, and noted down");
  await agent.process.kill("SIGKILL");
  await interrupted;
  const kept = countOfUnion([await havesOnDisk(state, image)]);
  expect(kept).toBeLessThan(pieceCountOf(image));
  const again = await startAgent(seeder.url, state);
  const { path } = await ensure(again, "image");
  expect(await sha256Of(path)).toBe(image.digest);
  const received = await metric(again, 'bootswarm_agent_received_bytes_total{source="swarm"}');
  const receivedByHttp = await metric(again, 'bootswarm_agent_received_bytes_total{source="http"}');
  expect(receivedByHttp).toBe(0);
  expect(received).toBeGreaterThan(0);
  // What was noted down is not fetched again; a few blocks may come twice at the end.
  const missingBytes = (pieceCountOf(image) - kept) * image.pieceLengthBytes;
  expect(received).toBeLessThan(missingBytes + 4 * image.pieceLengthBytes);
});

test("a restarted agent serves its complete images at once, without the seeder's data", async () => {
  const directory = await temporaryDirectory();
  const seeder = await startSeeder(join(directory, "seeder"), {});
  const image = await publish(seeder, await makeRandomFile(directory, "image", 16), "image");
  const first = await startAgent(seeder.url, join(directory, "first"), {}, "first");
  await ensure(first, "image");
  expect(await first.process.kill("SIGTERM")).toBe(0);
  const restarted = await startAgent(seeder.url, join(directory, "first"), {}, "first");
  await eventually(async () => {
    const { images } = await restarted.service.listImages({});
    return images[0]?.digest === image.digest && images[0].seeding ? true : undefined;
  }, "the restarted agent seeds");
  expect(await metric(restarted, 'bootswarm_agent_received_bytes_total{source="swarm"}')).toBe(0);
  const answered = await ensure(restarted, "image");
  expect(await sha256Of(answered.path)).toBe(image.digest);
});
