/** Images brought ahead of need: by what is popular, and because an operator asks. Processes of their own, loopback. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { FetchPriority, FetchState } from "../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import {
  NodePrefetchState,
  PlanMode,
  type Prefetch,
  PrefetchState,
} from "../../proto/gen/bootswarm/seeder/v1/prefetch_pb.js";
import { ensure, fetchOf, metric, publish, startAgent, startSeeder, type TestSeeder } from "../fixtures/daemons.ts";
import { makeRandomFile, sha256Of } from "../fixtures/disks.ts";
import { eventually } from "../fixtures/processes.ts";
import { temporaryDirectory } from "../fixtures/temporary-directory.ts";

const MiB = 2 ** 20;
const quick = { "report.intervalMs": 200 };
/** A few launches are enough, and the plan is made at once. */
const eager = { "prefetch.mode": "on", "prefetch.planIntervalMs": 200, "prefetch.choiceShare": 0.001 };

/** Follows a prefetch to its end. */
async function watched(seeder: TestSeeder, id: string): Promise<Prefetch> {
  let last: Prefetch | undefined;
  for await (const { prefetch } of seeder.prefetch.watchPrefetch({ id })) last = prefetch;
  if (!last) throw new Error(`nothing was told of prefetch ${id}`);
  return last;
}

test("what is launched often is on the other nodes before anybody asks for it there, and is an ordinary image once used", async () => {
  const directory = await temporaryDirectory();
  const seeder = await startSeeder(join(directory, "seeder"), eager);
  const agents = await Promise.all(
    [1, 2, 3].map((n) => startAgent(seeder.url, join(directory, `node-${n}`), quick, `node-${n}`)),
  );
  const [first, second] = agents as [(typeof agents)[0], (typeof agents)[0]];
  const popular = await publish(seeder, await makeRandomFile(directory, "popular", 8), "popular");
  const other = await publish(seeder, await makeRandomFile(directory, "other", 8), "other");
  await ensure(first, "other");
  await ensure(first, "popular");
  await eventually(async () => {
    const { nodes } = await seeder.inventory.listHoldings({ image: "popular" });
    return nodes.length > 0 || undefined;
  }, "the first node's image is known");
  for (let launch = 0; launch < 8; launch++) await seeder.placement.recordLaunch({ image: "popular", host: "node-1" });
  const holders = await eventually(async () => {
    const { nodes } = await seeder.inventory.listHoldings({ image: "popular" });
    return nodes.filter(({ holding }) => holding).length === 3 ? nodes : undefined;
  }, "all nodes have what is popular");
  expect(holders.filter(({ holding }) => holding?.lastUsedAt).map(({ nodeName }) => nodeName)).toEqual(["node-1"]);
  expect((await seeder.inventory.listHoldings({ image: "other" })).nodes).toHaveLength(1);
  const { images } = await seeder.prefetch.listPopularity({});
  expect(images[0]).toMatchObject({ digest: popular.digest, names: ["popular"] });
  expect(images[0]?.score).toBeGreaterThan(7);
  const plan = await seeder.prefetch.getPlan({});
  expect(plan.mode).toBe(PlanMode.ON);
  expect(plan.zones[0]).toMatchObject({ zone: "", nodes: 3, nodesAllowing: 3 });
  expect(await metric(second, 'bootswarm_agent_prefetches_total{result="ready"}')).toBe(1);
  expect(await metric(second, "bootswarm_agent_prefetch_ahead_bytes")).toBeGreaterThanOrEqual(8 * MiB);
  const { fetch, path } = await ensure(second, "popular");
  expect(fetch.activity).toBe("it was here already");
  expect(await sha256Of(path)).toBe(popular.digest);
  expect(await metric(second, "bootswarm_agent_prefetch_used_total")).toBe(1);
  expect(await metric(second, "bootswarm_agent_prefetch_ahead_bytes")).toBe(0);
  await eventually(
    async () => (await metric(seeder, "bootswarm_seeder_prefetch_used_total")) === 1 || undefined,
    "the use is told",
  );
  expect(other.digest).not.toBe(popular.digest);
});

test("a running prefetch gives its place and its rate to what is asked for, and goes on after it", async () => {
  const directory = await temporaryDirectory();
  // Slow enough that neither can be over before it is looked at.
  const seeder = await startSeeder(join(directory, "seeder"), { "swarm.uploadBytesPerSecondMax": 4 * MiB });
  const ahead = await publish(seeder, await makeRandomFile(directory, "ahead", 24), "ahead");
  const wanted = await publish(seeder, await makeRandomFile(directory, "wanted", 16), "wanted");
  const settings = { ...quick, "fetch.concurrency": 1 };
  const agent = await startAgent(seeder.url, join(directory, "node"), settings, "node");
  await eventually(async () => (await seeder.inventory.listNodes({})).nodes[0], "the node reports");
  const { prefetch } = await seeder.prefetch.startPrefetch({ image: "ahead", nodes: ["node"] });
  await eventually(async () => {
    const fetch = await fetchOf(agent, ahead.digest);
    return fetch?.state === FetchState.ACTIVE && fetch.doneBytes > 0n ? fetch : undefined;
  }, "the prefetch runs");
  const asked = ensure(agent, "wanted");
  await eventually(
    async () => (await fetchOf(agent, wanted.digest))?.state === FetchState.ACTIVE || undefined,
    "the other runs",
  );
  expect(await fetchOf(agent, ahead.digest)).toMatchObject({
    state: FetchState.QUEUED,
    priority: FetchPriority.PREFETCH,
  });
  const { fetch } = await asked;
  expect(fetch.state).toBe(FetchState.READY);
  const aheadThen = await fetchOf(agent, ahead.digest);
  expect(aheadThen?.state).not.toBe(FetchState.READY);
  expect(await metric(agent, "bootswarm_agent_prefetch_yielded_total")).toBe(1);
  const ended = await watched(seeder, prefetch?.id as string);
  expect(ended).toMatchObject({ state: PrefetchState.DONE, nodesReady: 1 });
  expect(await sha256Of((await ensure(agent, "ahead")).path)).toBe(ahead.digest);
});

test("plans stop at a node's budget, and operators' prefetches say which node could not, and why", async () => {
  const directory = await temporaryDirectory();
  const seeder = await startSeeder(join(directory, "seeder"), eager);
  const names = ["a", "b", "c", "d"];
  for (const name of names) await publish(seeder, await makeRandomFile(directory, name, 4), name);
  const large = await publish(seeder, await makeRandomFile(directory, "large", 48), "large");
  const settings = { ...quick, "cache.quotaBytes": 40 * MiB, "cache.freeFloorBytes": 0 };
  const [budgeted, off] = await Promise.all([
    startAgent(seeder.url, join(directory, "budgeted"), settings, "budgeted"),
    startAgent(seeder.url, join(directory, "off"), { ...settings, "fetch.prefetch": false }, "off"),
  ]);
  await eventually(async () => (await seeder.inventory.listNodes({})).nodes.length === 2 || undefined, "both report");
  for (const image of names) await seeder.placement.recordLaunch({ image, host: "off", count: 20 });
  // A quarter of 40 MiB: two images of 4 MiB and no third.
  await eventually(
    async () => (await budgeted.service.listImages({})).images.length === 2 || undefined,
    "two have come",
  );
  const told = await eventually(async () => {
    const { zones } = await seeder.prefetch.getPlan({});
    const zone = zones[0];
    return zone && zone.usedBytes >= 8n * BigInt(MiB) && zone.assignments.length === 0 ? zone : undefined;
  }, "the plan has no more for the node");
  expect(told).toMatchObject({ nodes: 2, nodesAllowing: 1, budgetBytes: 10n * BigInt(MiB) });
  expect((await budgeted.service.listImages({})).images).toHaveLength(2);
  expect((await off.service.listImages({})).images).toHaveLength(0);
  const started = await seeder.prefetch.startPrefetch({ image: "large" });
  const refused = await watched(seeder, started.prefetch?.id as string);
  expect(refused).toMatchObject({ state: PrefetchState.FAILED, nodesWanted: 2, nodesFailed: 2, digest: large.digest });
  expect(refused.nodes.map(({ error }) => error).join()).toContain("cache.quotaBytes");
  const both = await seeder.prefetch.startPrefetch({ image: "d" });
  expect(await watched(seeder, both.prefetch?.id as string)).toMatchObject({
    state: PrefetchState.DONE,
    nodesReady: 2,
  });
});

test("an operator's prefetch outlasts restarts of both sides, and is withdrawn when it is cancelled", async () => {
  const directory = await temporaryDirectory();
  const settings = { "swarm.uploadBytesPerSecondMax": 2 * MiB };
  const seeder = await startSeeder(join(directory, "seeder"), settings);
  const image = await publish(seeder, await makeRandomFile(directory, "image", 16), "image");
  const agents = await Promise.all(
    [1, 2, 3].map((n) => startAgent(seeder.url, join(directory, `node-${n}`), { ...quick, zone: "r1" }, `node-${n}`)),
  );
  await eventually(async () => (await seeder.inventory.listNodes({})).nodes.length === 3 || undefined, "all report");
  const { prefetch } = await seeder.prefetch.startPrefetch({ image: "image", zone: "r1", count: 2 });
  const id = prefetch?.id as string;
  expect(prefetch).toMatchObject({ state: PrefetchState.RUNNING, nodesWanted: 2, zone: "r1", count: 2 });
  const chosen = prefetch?.nodes.map(({ nodeName }) => nodeName) ?? [];
  const running = await eventually(async () => {
    const now = (await seeder.prefetch.getPrefetch({ id })).prefetch;
    return (
      now?.nodes.every(({ state, doneBytes }) => state === NodePrefetchState.FETCHING && doneBytes > 0n) || undefined
    );
  }, "both nodes fetch");
  expect(running).toBe(true);
  await seeder.process.kill("SIGKILL");
  const port = Number(new URL(seeder.url).port);
  const again = await startSeeder(join(directory, "seeder"), { ...settings, listen: `127.0.0.1:${port}` });
  expect((await again.prefetch.getPrefetch({ id })).prefetch).toMatchObject({ state: PrefetchState.RUNNING });
  const name = chosen[0] as string;
  const index = Number(name.at(-1)) - 1;
  await agents[index]?.process.kill("SIGKILL");
  const back = await startAgent(again.url, join(directory, name), { ...quick, zone: "r1" }, name);
  expect(await fetchOf(back, image.digest)).toMatchObject({ priority: FetchPriority.PREFETCH });
  const { prefetch: cancelled } = await again.prefetch.cancelPrefetch({ id });
  expect(cancelled?.state).toBe(PrefetchState.CANCELLED);
  await eventually(
    async () =>
      (await back.service.listFetches({})).fetches.every(({ state }) => state === FetchState.CANCELLED) || undefined,
    "it is withdrawn",
  );
  expect(await metric(back, 'bootswarm_agent_prefetches_total{result="stopped"}')).toBe(1);
  expect((await again.prefetch.listPrefetches({})).prefetches).toMatchObject([{ id, state: PrefetchState.CANCELLED }]);
});
