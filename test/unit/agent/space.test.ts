import { createHash, randomBytes } from "node:crypto";
import { stat } from "node:fs/promises";
import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { FetchPriority, FetchState } from "../../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import { startSeeder } from "../seeder/running-seeder.ts";
import { fetchToEnd, fetchUntil, type RunningAgent, startAgent } from "./running-agent.ts";
import { type ScriptedImage, sendRange, startScriptedSeeder } from "./scripted-seeder.ts";

const MiB = 2 ** 20;

/** An image, and a way to keep its bytes back until it is let go. */
function heldImage(name: string, sizeBytes = 4 * MiB): ScriptedImage & { letGo: () => void } {
  const bytes = randomBytes(sizeBytes);
  const { promise, resolve } = Promise.withResolvers<void>();
  return { name, bytes, letGo: resolve, serve: (asked) => void promise.then(() => sendRange(asked, bytes)) };
}

const image = (name: string, sizeBytes = 4 * MiB): ScriptedImage => ({ name, bytes: randomBytes(sizeBytes) });

async function cached({ service }: RunningAgent): Promise<string[]> {
  return (await service.listImages({})).images.map(({ names }) => names.join());
}

async function problemOf(work: Promise<unknown>): Promise<ConnectError> {
  return ConnectError.from(
    await work.then(
      () => "nothing failed",
      (error: unknown) => error,
    ),
  );
}

async function metric({ url }: RunningAgent, name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(
    text
      .split("\n")
      .find((line) => line.startsWith(`${name} `))
      ?.split(" ")[1],
  );
}

test("three fetches together never take more than the quota: who does not fit beside the others is refused", async () => {
  const images = ["one", "two", "three"].map((name) => heldImage(name));
  const seeder = await startScriptedSeeder(images);
  const agent = await startAgent(seeder.url, { "cache.quotaBytes": 10 * MiB });
  const ends = images.map(({ name }) => fetchToEnd(agent, name));
  // None of them can end before it is let go, but by being refused.
  const refused = await problemOf(Promise.race(ends));
  expect(refused.code).toBe(Code.ResourceExhausted);
  expect(refused.rawMessage).toMatch(
    /needs 4\.0 MiB .* of its 10\.0 MiB in use \(cache\.quotaBytes\), 8\.0 MiB are promised to fetches/,
  );
  for (const { letGo } of images) letGo();
  const outcomes = await Promise.allSettled(ends);
  expect(outcomes.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "fulfilled", "rejected"]);
  let allocatedBytes = 0;
  for (const { path } of (await agent.service.listImages({})).images) allocatedBytes += (await stat(path)).blocks * 512;
  expect(allocatedBytes).toBeGreaterThanOrEqual(8 * MiB);
  expect(allocatedBytes).toBeLessThanOrEqual(10 * MiB);
});

test("a fetch that waits for room says so, and goes on when an image has gone", async () => {
  const seeder = await startScriptedSeeder([image("kept"), image("new")]);
  const agent = await startAgent(seeder.url, { "cache.quotaBytes": 6 * MiB, "cache.whenFull": "wait" });
  await fetchToEnd(agent, "kept");
  await agent.service.pinImage({ image: "kept" });
  const waiting = await fetchUntil(agent, "new", ({ activity }) => activity.startsWith("waiting for room on the disk"));
  expect(waiting.state).toBe(FetchState.QUEUED);
  expect(waiting.activity).toMatch(/0 B can be evicted; pinned: 4\.0 MiB/);
  expect(await metric(agent, "bootswarm_agent_fetches_waiting_for_space")).toBe(1);
  await agent.service.unpinImage({ image: "kept" });
  expect((await fetchToEnd(agent, "new")).fetch.state).toBe(FetchState.READY);
  expect(await cached(agent)).toEqual(["new"]);
});

test("a fetch that waits for room waits on after a restart, and can be cancelled", async () => {
  const seeder = await startScriptedSeeder([image("kept"), image("new")]);
  const agent = await startAgent(seeder.url, { "cache.quotaBytes": 6 * MiB, "cache.whenFull": "wait" });
  await fetchToEnd(agent, "kept");
  await agent.service.pinImage({ image: "kept" });
  const isWaiting = ({ activity }: { activity: string }) => activity.startsWith("waiting for room");
  await fetchUntil(agent, "new", isWaiting);
  const again = await agent.restart();
  await fetchUntil(again, "new", isWaiting);
  const { fetch } = await again.service.cancelFetch({ image: "new" });
  expect(fetch?.state).toBe(FetchState.CANCELLED);
  expect(await metric(again, "bootswarm_agent_fetches_waiting_for_space")).toBe(0);
});

test("what can never fit is refused, even where fetches wait", async () => {
  const seeder = await startScriptedSeeder([image("large", 4 * MiB)]);
  const agent = await startAgent(seeder.url, { "cache.quotaBytes": 3 * MiB, "cache.whenFull": "wait" });
  expect((await problemOf(fetchToEnd(agent, "large"))).code).toBe(Code.ResourceExhausted);
  expect((await agent.service.listFetches({})).fetches).toEqual([]);
});

test("the least used image gives way: it is no longer served, the inventory is told, and it is counted", async () => {
  const seeder = await startSeeder();
  for (const name of ["often", "once", "new"]) {
    await fetch(`${seeder.url}/images/${name}`, { method: "PUT", body: randomBytes(4 * MiB) });
  }
  const agent = await startAgent(seeder.url, { name: "node", "cache.quotaBytes": 10 * MiB });
  await fetchToEnd(agent, "often");
  await fetchToEnd(agent, "often");
  await fetchToEnd(agent, "once");
  const held = async () => {
    const answer = await fetch(`${seeder.url}/bootswarm.seeder.v1.InventoryService/GetNode`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ node: "node" }),
    });
    const { holdings = [] } = (await answer.json()) as { holdings?: { digest: string }[] };
    return holdings.map(({ digest }) => digest).toSorted();
  };
  await expect.poll(held).toHaveLength(2);
  await fetchToEnd(agent, "new");
  expect(await cached(agent)).toEqual(["new", "often"]);
  expect(await metric(agent, "bootswarm_agent_evictions_total")).toBe(1);
  expect(await metric(agent, "bootswarm_agent_evicted_bytes_total")).toBeGreaterThanOrEqual(4 * MiB);
  const digests = (await agent.service.listImages({})).images.map(({ digest }) => digest).toSorted();
  await expect.poll(held).toEqual(digests);
});

test("what was prefetched does not give way to another prefetch before its grace has passed, a restart notwithstanding", async () => {
  const seeder = await startScriptedSeeder([image("ahead"), image("more"), image("new")]);
  const quota = { "cache.quotaBytes": 6 * MiB };
  const agent = await startAgent(seeder.url, quota);
  const prefetch = async (image: string, by = agent) => {
    for await (const _ of by.service.ensureImage({ image, priority: FetchPriority.PREFETCH }));
  };
  await prefetch("ahead");
  const refused = await problemOf(prefetch("more"));
  expect(refused.rawMessage).toContain("just prefetched: 4.0 MiB");
  const again = await agent.restart();
  await expect(prefetch("more", again)).rejects.toThrow("just prefetched");
  const later = await again.restart({ "cache.prefetchGraceMs": 0 });
  await prefetch("more", later);
  expect(await cached(later)).toEqual(["more"]);
});

test("what was prefetched gives way to what somebody asks for", async () => {
  const seeder = await startScriptedSeeder([image("ahead"), image("new")]);
  const agent = await startAgent(seeder.url, { "cache.quotaBytes": 6 * MiB });
  for await (const _ of agent.service.ensureImage({ image: "ahead", priority: FetchPriority.PREFETCH }));
  await fetchToEnd(agent, "new");
  expect(await cached(agent)).toEqual(["new"]);
});

test("a prefetched image that was asked for is evicted like any other", async () => {
  const seeder = await startScriptedSeeder([image("ahead"), image("new")]);
  const agent = await startAgent(seeder.url, { "cache.quotaBytes": 6 * MiB });
  for await (const _ of agent.service.ensureImage({ image: "ahead", priority: FetchPriority.PREFETCH }));
  await fetchToEnd(agent, "ahead");
  await fetchToEnd(agent, "new");
  expect(await cached(agent)).toEqual(["new"]);
});

test("what is left of a cancelled fetch gives way first", async () => {
  const bytes = randomBytes(4 * MiB);
  const part: ScriptedImage = {
    name: "part",
    bytes,
    serve: ({ response }) => {
      response.writeHead(200, { etag: `"${createHash("sha256").update(bytes).digest("hex")}"` });
      response.write(bytes.subarray(0, 2 * MiB));
    },
  };
  const seeder = await startScriptedSeeder([image("kept"), part, image("new", 5 * MiB)]);
  const agent = await startAgent(seeder.url, { "cache.quotaBytes": 10 * MiB });
  await fetchToEnd(agent, "kept");
  const { digest } = await fetchUntil(agent, "part", ({ doneBytes }) => doneBytes >= 2n * BigInt(MiB));
  await agent.service.cancelFetch({ image: "part" });
  await fetchToEnd(agent, "new");
  expect(await cached(agent)).toEqual(["kept", "new"]);
  await expect(agent.service.removeImage({ image: digest })).rejects.toThrow("not in this node's cache");
});
