/** What a node does with directives that cross what it is asked for, or a restart; the seeder is scripted. */
import { randomBytes } from "node:crypto";
import type { ServerResponse } from "node:http";
import { expect, onTestFinished, test } from "vitest";
import { FetchPriority, FetchState } from "../../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import type { ReportRequest } from "../../../proto/gen/bootswarm/seeder/v1/inventory_pb.js";
import { DirectiveKind, NodePrefetchState } from "../../../proto/gen/bootswarm/seeder/v1/prefetch_pb.js";
import { eventually } from "../../fixtures/processes.ts";
import { TroubledDisk } from "../../fixtures/troubled-disk.ts";
import { fetchToEnd, fetchUntil, type RunningAgent, startAgent } from "./running-agent.ts";
import { type DataRequest, type Script, sendFrom, sendHead, sha256, startScriptedSeeder } from "./scripted-seeder.ts";

const bytes = randomBytes(300_000);
const digest = sha256(bytes);
const half = bytes.length / 2;

/** Holds answers back until it is opened. */
function gate() {
  const { promise, resolve } = Promise.withResolvers<void>();
  onTestFinished(() => resolve());
  return { promise, open: resolve };
}

/** A seeder with one image, of which half comes until `rest` says so; it tells directives once each. */
async function startSeeder(beforeImage: Script["beforeImage"] = async () => {}) {
  const directives: { kind: DirectiveKind; digest: string; prefetchId: string }[][] = [];
  const reports: ReportRequest[] = [];
  const held: ServerResponse[] = [];
  let isWhole = false;
  const serve = ({ offset, response }: DataRequest) => {
    if (isWhole) return sendFrom(response, bytes, offset);
    sendHead(response, bytes, offset);
    if (offset < half) response.write(bytes.subarray(offset, half));
    held.push(response);
  };
  const { url } = await startScriptedSeeder([{ name: "image", bytes, serve }], 0, {
    beforeImage,
    onReport: (report) => {
      reports.push(report);
      return { directives: directives.shift() ?? [] };
    },
  });
  const tell = (kind: DirectiveKind, prefetchId: string) => directives.push([{ kind, digest, prefetchId }]);
  return {
    url,
    /** Told with the answer to a later report, one after the other. */
    prefetch: (prefetchId: string) => tell(DirectiveKind.PREFETCH, prefetchId),
    stop: () => tell(DirectiveKind.STOP, ""),
    /** Resolves once all that was told has been taken. */
    taken: async () => {
      const told = reports.length + directives.length;
      await eventually(
        async () => (directives.length === 0 && reports.length > told) || undefined,
        "directives are taken",
      );
    },
    /** What the node last told of the image's prefetch. */
    reported: () => reports.at(-1)?.prefetches.find((each) => each.digest === digest),
    everReported: (state: NodePrefetchState) =>
      reports.some(({ prefetches }) => prefetches.some((each) => each.state === state)),
    /** From now on all bytes are sent. */
    rest: () => {
      isWhole = true;
      for (const response of held) response.destroy();
    },
  };
}

async function fetchOn({ service }: RunningAgent) {
  const { fetches } = await service.listFetches({});
  return fetches.find((each) => each.digest === digest);
}

test("a prefetch that an operator wants, too, while it has not begun goes on for the operator", async () => {
  const catalog = gate();
  const seeder = await startSeeder(() => catalog.promise);
  seeder.rest();
  seeder.prefetch("");
  seeder.prefetch("op");
  const agent = await startAgent(seeder.url);
  await eventually(async () => seeder.reported()?.prefetchId === "op" || undefined, "the operator's is taken");
  catalog.open();
  await eventually(async () => (await fetchOn(agent))?.state === FetchState.READY || undefined, "the image is there");
  expect(seeder.everReported(NodePrefetchState.FAILED)).toBe(false);
});

test("a prefetch that is withdrawn before it has begun leaves alone what somebody has asked for meanwhile", async () => {
  const catalog = gate();
  // The prefetch's own question is the first.
  const seeder = await startSeeder((answered) => (answered === 0 ? catalog.promise : Promise.resolve()));
  seeder.prefetch("op");
  const agent = await startAgent(seeder.url);
  await eventually(async () => seeder.reported()?.prefetchId === "op" || undefined, "the prefetch is taken");
  await fetchUntil(agent, digest, ({ doneBytes }) => doneBytes > 0n);
  seeder.stop();
  await seeder.taken();
  catalog.open();
  await seeder.taken();
  expect(await fetchOn(agent)).toMatchObject({ state: FetchState.ACTIVE, priority: FetchPriority.ENSURE });
  seeder.rest();
  expect((await fetchToEnd(agent, "image")).fetch.state).toBe(FetchState.READY);
});

test("what is asked for while its prefetch is being withdrawn comes all the same", async () => {
  const disk = new TroubledDisk();
  let asked = 0;
  const seeder = await startSeeder(async (answered) => {
    asked = answered;
  });
  seeder.prefetch("op");
  const agent = await startAgent(seeder.url, {}, undefined, disk);
  await eventually(async () => ((await fetchOn(agent))?.doneBytes ?? 0n) > 0n || undefined, "the prefetch runs");
  const looks = gate();
  const { stat } = disk;
  // The withdrawn fetch looks at what has arrived before it ends.
  disk.stat = async (path) => {
    if (path.includes(digest)) await looks.promise;
    return stat(path);
  };
  seeder.stop();
  await seeder.taken();
  seeder.rest();
  const fetched = fetchToEnd(agent, "image");
  await eventually(async () => asked === 1 || undefined, "the catalog is asked");
  // By then the node knows what it is asked for.
  await seeder.taken();
  looks.open();
  expect((await fetched).fetch.state).toBe(FetchState.READY);
});

test("a prefetch that cannot go on after a restart is told of as failed", async () => {
  const seeder = await startSeeder();
  seeder.prefetch("op");
  const agent = await startAgent(seeder.url);
  await eventually(async () => ((await fetchOn(agent))?.doneBytes ?? 0n) > 0n || undefined, "the prefetch runs");
  await agent.restart({ "cache.quotaBytes": half });
  const told = await eventually(
    async () => (seeder.reported()?.state === NodePrefetchState.FAILED ? seeder.reported() : undefined),
    "it is told",
  );
  expect(told).toMatchObject({ prefetchId: "op", error: expect.stringContaining("after the agent's restart") });
});

test("what is left of a fetch that was cancelled is brought ahead of need as such, also after a restart", async () => {
  const seeder = await startSeeder();
  const agent = await startAgent(seeder.url);
  await fetchUntil(agent, "image", ({ doneBytes }) => doneBytes > 0n);
  await agent.service.cancelFetch({ image: digest });
  seeder.prefetch("");
  await eventually(async () => (await fetchOn(agent))?.state === FetchState.ACTIVE || undefined, "the prefetch runs");
  const again = await agent.restart();
  await eventually(async () => (await fetchOn(again))?.state === FetchState.ACTIVE || undefined, "it goes on");
  expect(await fetchOn(again)).toMatchObject({ priority: FetchPriority.PREFETCH });
  await seeder.taken();
  expect(seeder.reported()).toMatchObject({ state: NodePrefetchState.FETCHING });
});
