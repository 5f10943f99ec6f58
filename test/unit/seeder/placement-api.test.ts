import { createHash } from "node:crypto";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, createClient, createRouterTransport } from "@connectrpc/connect";
import { Registry } from "prom-client";
import { expect, test } from "vitest";
import { translateErrors } from "../../../daemon/api-errors.ts";
import { Problem } from "../../../daemon/problem.ts";
import { FetchSchema, FetchState } from "../../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import { HostReason, PlacementService } from "../../../proto/gen/bootswarm/seeder/v1/placement_pb.js";
import type { Image } from "../../../seeder/catalog/image.ts";
import { KnownImages } from "../../../seeder/catalog/known-images.ts";
import { imageRefFrom } from "../../../seeder/catalog/names.ts";
import type { NodeFacts, NodeReport } from "../../../seeder/inventory/facts.ts";
import { Inventory } from "../../../seeder/inventory/inventory.ts";
import { openPlacement } from "../../../seeder/open-placement.ts";
import { placementConfigSchema } from "../../../seeder/placement/config.ts";

const digest = createHash("sha256").update("bytes").digest("hex");
const holding = { digest, allocatedBytes: 5, pinned: false, lastUsedAtMs: undefined };
const fetch = (more: MessageInitShape<typeof FetchSchema> = {}) =>
  create(FetchSchema, {
    digest,
    state: FetchState.ACTIVE,
    doneBytes: 63n,
    sizeBytes: 100n,
    etaSeconds: 12,
    ...more,
  });

/** The service as it is wired, on an inventory of nodes that have the image, fetch it and so on. */
function startScene() {
  const inventory = new Inventory();
  const tell = (name: string, what: Partial<NodeReport>, more: Partial<NodeFacts> = {}) => {
    const node = { id: `id-of-${name}`, name, zone: "", reportIntervalMs: 60_000, ...more } as NodeFacts;
    const report = {
      node,
      epoch: 1n,
      sequence: 1n,
      full: true,
      holdings: [],
      removedDigests: [],
      fetches: [],
      ...what,
    };
    inventory.report(report as unknown as NodeReport, Date.now());
  };
  tell("holder.example.org", { holdings: [holding] }, { zone: "rack-1" });
  tell("fetcher", { fetches: [fetch()] }, { zone: "rack-1" });
  tell("waiter", { fetches: [fetch({ state: FetchState.QUEUED })] });
  tell("stuck", { fetches: [fetch({ state: FetchState.PAUSED })] });
  tell("checker", { fetches: [fetch({ state: FetchState.VERIFYING })] });
  tell("busy", { fetches: [fetch({ digest: "b".repeat(64) })] });
  tell("idle", {});
  const images = new KnownImages([{ digest, names: ["debian"] } as Image]);
  const catalog = {
    recall: (ref: string) => images.find(imageRefFrom(ref)),
    // Another seeder's, of which this one has not heard yet.
    get: async (ref: string) => {
      if (ref === "just-published") return { digest, names: [ref] } as unknown as Image;
      throw new Problem("not-found", `there is no image ${ref} in the catalog`);
    },
  };
  const config = placementConfigSchema.parse({});
  const service = openPlacement({ inventory, catalog }, config, new Registry());
  const transport = createRouterTransport((router) => router.service(PlacementService, service), {
    router: { interceptors: [translateErrors] },
  });
  return { placement: createClient(PlacementService, transport), tell };
}

test("an image that another seeder has just published is asked for in the database", async () => {
  const { placement } = startScene();
  expect((await placement.weighHosts({ image: "just-published" })).digest).toBe(digest);
});

test("all nodes that are up are weighed, best first, each with its reason", async () => {
  const { placement } = startScene();
  const answer = await placement.weighHosts({ image: "debian" });
  expect(answer.digest).toBe(digest);
  expect(answer.counts).toMatchObject({ cached: 1, inFlight: 4, absent: 2, lost: 0, unknown: 0 });
  const byName = new Map(answer.hosts.map((each) => [each.host, each]));
  expect(answer.hosts.slice(0, 4).map(({ host }) => host)).toEqual([
    "holder.example.org",
    "checker",
    "fetcher",
    "waiter",
  ]);
  expect(byName.get("holder.example.org")).toMatchObject({
    weight: 1,
    score: 3,
    reason: HostReason.CACHED,
    details: { nodeId: "id-of-holder.example.org", zone: "rack-1", text: "cached", cache: 1, fraction: 1 },
  });
  expect(byName.get("fetcher")).toMatchObject({
    reason: HostReason.IN_FLIGHT,
    details: { text: "on its way, 63 % here, ready in 12 s", fraction: 0.63, etaSeconds: 12 },
  });
  expect(byName.get("checker")).toMatchObject({
    reason: HostReason.IN_FLIGHT,
    details: { text: "all here and being checked, ready in 1 s" },
  });
  expect(byName.get("waiter")).toMatchObject({
    reason: HostReason.QUEUED,
    details: { text: "queued on the node, 63 % here" },
  });
  expect(byName.get("stuck")).toMatchObject({
    reason: HostReason.PAUSED,
    details: { text: "paused at 63 %: the node's disk is full or fails", cache: 0 },
  });
  expect(byName.get("busy")).toMatchObject({ details: { text: "absent; fetches 1 other image", otherFetches: 1 } });
  expect(byName.get("idle")).toMatchObject({ reason: HostReason.ABSENT, details: { text: "absent" } });
});

test("hosts are weighed as they are called, known or not", async () => {
  const { placement, tell } = startScene();
  tell("twin", {}, { id: "twin-1" });
  tell("twin", {}, { id: "twin-2" });
  const hosts = ["HOLDER", "nobody", "twin", "id-of-idle"];
  const answer = await placement.weighHosts({ image: "debian", hosts });
  expect(answer.hosts.slice(0, 2).map(({ host }) => host)).toEqual(["HOLDER", "id-of-idle"]);
  expect(answer.counts).toMatchObject({ cached: 1, absent: 1, unknown: 2 });
  const nobody = answer.hosts.find(({ host }) => host === "nobody");
  expect(nobody).toMatchObject({
    weight: 0,
    score: 0,
    reason: HostReason.UNKNOWN,
    details: { nodeId: "", text: "unknown: no agent has reported under this name or id" },
  });
  const twin = answer.hosts.find(({ host }) => host === "twin");
  expect(twin?.details?.text).toMatch(/^several nodes may be "twin": twin \(twin-\d\), twin \(twin-\d\); ask/);
});

test("zone, count, brief and seed do what they say", async () => {
  const { placement } = startScene();
  const inZone = await placement.weighHosts({ image: "debian", options: { zone: "rack-1" } });
  expect(inZone.hosts.map(({ host }) => host)).toEqual(["holder.example.org", "fetcher"]);
  const best = await placement.weighHosts({ image: digest, options: { count: 1, brief: true, seed: 7n } });
  expect(best).toMatchObject({ seed: 7n, counts: { cached: 1, absent: 2 }, hosts: [{ host: "holder.example.org" }] });
  expect([best.hosts.length, best.hosts[0]?.details]).toEqual([1, undefined]);
  const order = async () => {
    const { hosts } = await placement.weighHosts({ image: "a".repeat(64), options: { seed: 9n } });
    return hosts.map(({ host }) => host);
  };
  expect(await order()).toEqual(await order());
});

test("what is on its way does not count where the request says so", async () => {
  const { placement } = startScene();
  const options = { countInFlight: false, spreadMultiplier: 0 };
  const { hosts } = await placement.weighHosts({ image: "debian", options });
  expect(hosts.map(({ weight }) => weight)).toEqual([1, 0, 0, 0, 0, 0, 0]);
  expect(hosts.find(({ host }) => host === "fetcher")?.reason).toBe(HostReason.IN_FLIGHT);
});

test("the first image that the catalog has is the one", async () => {
  const { placement } = startScene();
  const answer = await placement.weighHosts({ image: "glance-id", otherImages: ["Not a name!", "debian"] });
  expect(answer.digest).toBe(digest);
  await expect(placement.weighHosts({ image: "glance-id", otherImages: ["nor-this"] })).rejects.toMatchObject({
    code: Code.NotFound,
    message: expect.stringContaining("no image glance-id, nor nor-this"),
  });
});

test("a launch heats its host, and is expected to bring the image there", async () => {
  const { placement } = startScene();
  const launch = { image: "debian", host: "idle", count: 2, launchId: "vm-1" };
  expect(await placement.recordLaunch(launch)).toMatchObject({ digest, nodeId: "id-of-idle", counted: true });
  expect(await placement.recordLaunch(launch)).toMatchObject({ counted: false });
  const { hosts } = await placement.weighHosts({ image: "debian", hosts: ["idle", "busy"] });
  const idle = hosts.find(({ host }) => host === "idle");
  expect(idle).toMatchObject({ reason: HostReason.EXPECTED });
  expect(idle?.details?.recentLaunches).toBeGreaterThan(1.5);
  expect(idle?.details?.recentLaunches).toBeLessThanOrEqual(2);
  expect(idle?.details?.text).toMatch(/^launched here moments ago; .*; (2|1\.\d) launches of late$/);
});

test("a launch that nobody can make sense of is refused with what is wrong", async () => {
  const { placement } = startScene();
  const refused = (launch: object) => placement.recordLaunch({ image: "debian", host: "idle", ...launch });
  await expect(refused({ host: "nobody" })).rejects.toMatchObject({ code: Code.NotFound });
  await expect(refused({ host: "" })).rejects.toMatchObject({ code: Code.InvalidArgument });
  await expect(refused({ image: "nothing" })).rejects.toMatchObject({ code: Code.NotFound });
  await expect(refused({ image: "c".repeat(64) })).rejects.toMatchObject({ code: Code.NotFound });
  await expect(refused({ count: 1_001 })).rejects.toMatchObject({ code: Code.InvalidArgument });
  await expect(refused({ launchId: "x".repeat(129) })).rejects.toMatchObject({ code: Code.InvalidArgument });
  await expect(refused({ launchId: "vm-1\0" })).rejects.toMatchObject({ code: Code.InvalidArgument });
  const minute = 60_000;
  const at = (ms: number) => ({ launchedAt: timestampFromMs(Date.now() + ms) });
  await expect(refused(at(60 * minute))).rejects.toMatchObject({ message: expect.stringContaining("future") });
  await expect(refused(at(-25 * 60 * minute))).rejects.toMatchObject({ message: expect.stringContaining("day ago") });
  expect(await refused(at(minute))).toMatchObject({ counted: true });
});

test("bounds are kept", async () => {
  const { placement } = startScene();
  const weigh = (request: object) => placement.weighHosts({ image: "debian", ...request });
  const invalid = { code: Code.InvalidArgument };
  await expect(weigh({ hosts: ["x".repeat(256)] })).rejects.toMatchObject(invalid);
  await expect(weigh({ hosts: Array(100_001).fill("x") })).rejects.toMatchObject(invalid);
  await expect(weigh({ otherImages: Array(9).fill("x") })).rejects.toMatchObject(invalid);
  await expect(weigh({ options: { zone: "no zone!" } })).rejects.toMatchObject(invalid);
  await expect(weigh({ options: { cacheMultiplier: -1 } })).rejects.toMatchObject(invalid);
  await expect(weigh({ options: { hotLaunches: 0 } })).rejects.toMatchObject({
    ...invalid,
    message: expect.stringContaining("options.hot_launches: must be 0.1 to 10000"),
  });
  await expect(weigh({ image: "" })).rejects.toMatchObject(invalid);
});
