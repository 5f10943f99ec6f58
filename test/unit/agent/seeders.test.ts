import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { agentConfigSchema } from "../../../agent/config.ts";
import { keepHoming } from "../../../agent/seeders/homing.ts";
import { nextOf, preferredOrder } from "../../../agent/seeders/preference.ts";
import { seederTransport } from "../../../agent/seeders/seeder-transport.ts";
import { Seeders } from "../../../agent/seeders/seeders.ts";
import { loadConfig } from "../../../daemon/config.ts";
import { createLog } from "../../../daemon/log.ts";
import { CatalogService } from "../../../proto/gen/bootswarm/seeder/v1/catalog_pb.js";
import { ManualClock } from "../swarm/manual-clock.ts";

const a = "http://a:7400";
const b = "http://b:7400";
const c = "http://c:7400";

function seedersOf(urls: string[], nodeId = "node") {
  let nowMs = 0;
  const log = createLog({ level: "silent", name: "test" });
  return new Seeders({ urls, nodeId, nowMs: () => ++nowMs, now: () => new Date(nowMs), log });
}

describe("seeder.url", () => {
  const urlsFrom = (url: unknown) => loadConfig(agentConfigSchema, { settings: { "seeder.url": url } }).seeder.url;

  test("takes one URL, text with commas between, or a list", () => {
    expect(urlsFrom(a)).toEqual([a]);
    expect(urlsFrom(`${a}/, ${b}`)).toEqual([a, b]);
    expect(urlsFrom([a, b, a])).toEqual([a, b]);
    expect(urlsFrom(`[${a}, ${b}]`)).toEqual([a, b]);
  });

  test.each(["", "ftp://a", "a:7400", `${a},`, [], 3, "http://"])("does not take %j", (url) => {
    expect(() => urlsFrom(url)).toThrow(/^configuration: seeder.url: must be/);
  });

  test("takes sixteen at most", () => {
    const many = Array.from({ length: 17 }, (_, index) => `http://seeder-${index}`);
    expect(() => urlsFrom(many)).toThrow("seeder.url: at most 16 seeders, not 17");
  });
});

describe("the order of preference", () => {
  const nodes = Array.from({ length: 3_000 }, (_, index) => `node-${index}`);
  const firsts = (urls: string[]) => nodes.map((node) => preferredOrder(urls, node)[0]);

  test("spreads nodes over the seeders", () => {
    const counts = [a, b, c].map((url) => firsts([a, b, c]).filter((first) => first === url).length);
    for (const count of counts) expect(count).toBeGreaterThan(900);
  });

  test("spreads those of a seeder that is gone over all others, and leaves the rest where they were", () => {
    const before = firsts([a, b, c]);
    const after = firsts([a, b]);
    const moved = nodes.filter((_, index) => before[index] === c).map((node) => after[nodes.indexOf(node)]);
    expect(moved.filter((url) => url === a).length / moved.length).toBeCloseTo(0.5, 1);
    expect(before.every((url, index) => url === c || after[index] === url)).toBe(true);
  });

  test("does not depend on the order of the list", () => {
    expect(preferredOrder([a, b, c], "n")).toEqual(preferredOrder([c, a, b], "n"));
  });
});

test("the next to be asked is the first that has not failed, else the one that failed longest ago", () => {
  const failed = (url: string, failedAtMs: number | undefined) => ({ url, failedAtMs });
  expect(nextOf([failed(a, 1), failed(b, undefined), failed(c, undefined)]).url).toBe(b);
  expect(nextOf([failed(a, 3), failed(b, 2), failed(c, 4)]).url).toBe(b);
});

describe("seeders", () => {
  test("are asked one at a time, until that does not answer", () => {
    const seeders = seedersOf([a, b]);
    const [first, second] = preferredOrder([a, b], "node") as [string, string];
    seeders.answered(first);
    expect([seeders.url, seeders.reachable, seeders.moves]).toEqual([first, true, 0]);
    seeders.failed(second, new Error("not asked any more"));
    expect([seeders.url, seeders.reachable]).toEqual([first, true]);
    seeders.answered(second);
    seeders.failed(first, new Error("refused"));
    expect([seeders.url, seeders.reachable, seeders.error, seeders.moves]).toEqual([second, false, "refused", 1]);
    seeders.answered(second);
    expect(seeders.list()).toMatchObject([
      { url: first, inUse: false, error: "refused" },
      { url: second, inUse: true, error: "" },
    ]);
    // It is not gone back to by itself, only when it is found ready.
    seeders.returnTo(first);
    expect([seeders.url, seeders.reachable]).toEqual([first, true]);
  });

  test("go round while none answers", () => {
    const seeders = seedersOf([a, b, c]);
    const asked = Array.from({ length: 6 }, () => {
      const { url } = seeders;
      seeders.failed(url, new Error("refused"));
      return url;
    });
    expect(asked.slice(0, 3).toSorted()).toEqual([a, b, c]);
    expect(asked.slice(3)).toEqual(asked.slice(0, 3));
  });

  test("learn of others, but not of loopback elsewhere, of what is no URL, or of too many", () => {
    const seeders = seedersOf([a]);
    seeders.learn([`${b}/`, "http://127.0.0.1:1", "http://localhost:1", "file:///etc/passwd", "nonsense", ""]);
    expect(seeders.list().map(({ url, learned }) => [url, learned])).toEqual(
      preferredOrder([a, b], "node").map((url) => [url, url === b]),
    );
    expect(seeders.url).toBe(a);
    seeders.learn(Array.from({ length: 10_000 }, (_, index) => `http://seeder-${index}`));
    expect(seeders.list()).toHaveLength(17);
    seeders.learn([]);
    expect(seeders.list().map(({ url }) => url)).toEqual([a]);
  });

  test("learn of loopback where they are on this machine", () => {
    const seeders = seedersOf(["http://127.0.0.1:1"]);
    seeders.learn(["http://127.0.0.1:2"]);
    expect(seeders.list()).toHaveLength(2);
  });
});

describe("a call", () => {
  const router = (getImage: () => never | Record<string, never>) =>
    createRouterTransport(({ service }) => {
      service(CatalogService, { getImage });
    });
  const away = router(() => {
    throw new ConnectError("refused", Code.Unavailable);
  });
  const answering = router(() => ({}));
  const without = router(() => {
    throw new ConnectError("no such image", Code.NotFound);
  });
  const clientOf = (seeders: Seeders, transports: Record<string, ReturnType<typeof router>>, isEager: boolean) =>
    createClient(
      CatalogService,
      seederTransport({ seeders, transportTo: (url) => transports[url]!, isEager, nowMs: () => 0 }),
    );

  test("that somebody waits for goes to the next seeder at once", async () => {
    const seeders = seedersOf([a, b]);
    const [first, second] = preferredOrder([a, b], "node") as [string, string];
    await clientOf(seeders, { [first]: away, [second]: answering }, true).getImage({}, { timeoutMs: 1_000 });
    expect([seeders.url, seeders.reachable]).toEqual([second, true]);
  });

  test("that can wait fails, and the next one goes to another seeder", async () => {
    const seeders = seedersOf([a, b]);
    const [first, second] = preferredOrder([a, b], "node") as [string, string];
    const client = clientOf(seeders, { [first]: away, [second]: answering }, false);
    await expect(client.getImage({})).rejects.toThrow("refused");
    expect(seeders.url).toBe(second);
    await client.getImage({});
    expect(seeders.reachable).toBe(true);
  });

  test("asks each seeder once where none answers, and says whom it asked last", async () => {
    const seeders = seedersOf([a, b]);
    const [first, second] = preferredOrder([a, b], "node") as [string, string];
    await expect(clientOf(seeders, { [a]: away, [b]: away }, true).getImage({})).rejects.toMatchObject({
      cause: { message: expect.stringContaining(second) },
    });
    expect(seeders.url).toBe(first);
  });

  test("that a seeder refuses is answered", async () => {
    const seeders = seedersOf([a, b]);
    const [first, second] = preferredOrder([a, b], "node") as [string, string];
    const client = clientOf(seeders, { [first]: without, [second]: answering }, true);
    await expect(client.getImage({})).rejects.toThrow("no such image");
    expect([seeders.url, seeders.reachable]).toEqual([first, true]);
  });
});

test("a node returns to the seeder that it prefers once that is ready again", async () => {
  const clock = new ManualClock();
  const seeders = seedersOf([a, b]);
  const preferred = seeders.url;
  seeders.failed(preferred, new Error("refused"));
  const stop = new AbortController();
  let ready = false;
  const looked: string[] = [];
  const isReady = async (url: string) => {
    looked.push(url);
    return ready;
  };
  const homing = keepHoming({ seeders, isReady, clock, random: () => 0.5 }, stop.signal);
  await clock.advance(120_000);
  expect(looked).toEqual([preferred]);
  expect(seeders.url).not.toBe(preferred);
  ready = true;
  await clock.advance(120_000);
  expect(seeders.url).toBe(preferred);
  stop.abort();
  await homing;
});
