import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { backoffMs } from "../../../agent/backoff.ts";
import { formatBytes } from "../../../agent/cache/disk-space.ts";
import { ChangeSignal } from "../../../agent/change-signal.ts";
import { agentConfigSchema } from "../../../agent/config.ts";
import { endpointFrom, magnetPeersFrom } from "../../../agent/endpoint.ts";
import { etaSeconds } from "../../../agent/fetch/fetch-view.ts";
import { RateMeter } from "../../../agent/fetch/rate-meter.ts";
import { imageRefFrom } from "../../../agent/image-ref.ts";
import { configKeys, loadConfig } from "../../../daemon/config.ts";
import { Serial } from "../../../daemon/serial.ts";

describe("an image reference", () => {
  const digest = "0123456789abcdef".repeat(4);
  test("is a digest in any spelling, or a name", () => {
    expect(imageRefFrom(digest)).toEqual({ digest });
    expect(imageRefFrom(digest.toUpperCase())).toEqual({ digest });
    expect(imageRefFrom(`sha256:${digest}`)).toEqual({ digest });
    expect(imageRefFrom("debian-12")).toEqual({ name: "debian-12" });
  });
  test.each(["", ".", "..", "../etc/passwd", "a/b", "a\\b", "a b", "a\nb", "a\0b", "x".repeat(256)])(
    "is never %j",
    (text) => {
      expect(() => imageRefFrom(text)).toThrow(/name/);
    },
  );
  test("never holds a slash, whatever is given", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          const ref = imageRefFrom(text);
          return !/[/\\]/.test(ref.digest ?? ref.name) && ![".", ".."].includes(ref.digest ?? ref.name);
        } catch {
          return true;
        }
      }),
    );
  });
});

test("a magnet link's peers are read, and what is no endpoint is passed over", () => {
  const magnet = "magnet:?xt=urn:btih:00&dn=x&x.pe=10.0.0.1:7401&x.pe=[fd00::1]:7402&x.pe=nonsense&x.pe=h:99999";
  expect(magnetPeersFrom(magnet)).toEqual([
    { host: "10.0.0.1", port: 7401 },
    { host: "fd00::1", port: 7402 },
  ]);
  expect(magnetPeersFrom("")).toEqual([]);
  expect(endpointFrom("host:0")).toBeUndefined();
});

test("waits between tries double, stay below their bound, and are spread", () => {
  const limits = { firstMs: 100, longestMs: 1_000 };
  expect([1, 2, 3, 4, 5, 99].map((attempt) => backoffMs(attempt, limits, () => 0))).toEqual([
    50, 100, 200, 400, 500, 500,
  ]);
  expect(backoffMs(99, limits, () => 0.999_999)).toBe(1_000);
});

test("a rate is that of the last few seconds, and falls to nothing in a stall", () => {
  const meter = new RateMeter();
  for (let second = 0; second <= 20; second++) meter.record(second * 1_000, second * 1_000);
  expect(meter.rate()).toBe(1_000);
  for (let second = 21; second <= 30; second++) meter.record(20_000, second * 1_000);
  expect(meter.rate()).toBe(0);
});

test("a rate starts anew when the count does", () => {
  const meter = new RateMeter();
  meter.record(1_000_000, 0);
  meter.record(0, 1_000);
  meter.record(500, 2_000);
  expect(meter.rate()).toBe(500);
});

test("there is no time of arrival when nothing moves", () => {
  expect(etaSeconds(1_000, 0)).toBeUndefined();
  expect(etaSeconds(1_001, 1_000)).toBe(2);
});

test("sizes are written for people", () => {
  expect([0, 1023, 1536, 5 * 2 ** 30, 700 * 2 ** 20].map(formatBytes)).toEqual([
    "0 B",
    "1023 B",
    "1.5 KiB",
    "5.0 GiB",
    "700 MiB",
  ]);
});

test("a watcher is woken by a change that came while it was not looking", async () => {
  const signal = new ChangeSignal();
  const { version } = signal;
  signal.notify();
  await signal.after(version, new AbortController().signal);
  const abort = new AbortController();
  const waiting = signal.after(signal.version, abort.signal);
  abort.abort();
  await waiting;
});

test("serial work runs in order, and goes on after a failure", async () => {
  const serial = new Serial();
  const order: string[] = [];
  const first = serial.run(async () => {
    await new Promise((resolve) => setImmediate(resolve));
    order.push("first");
    throw new Error("first failed");
  });
  const second = serial.run(async () => order.push("second"));
  await expect(first).rejects.toThrow("first failed");
  await second;
  expect(order).toEqual(["first", "second"]);
  expect(serial.idle).toBe(true);
});

describe("the configuration", () => {
  test("is complete without a file, and on loopback only", () => {
    const config = loadConfig(agentConfigSchema, {});
    expect([config.listen, config.swarm.host, config.fetch.concurrency]).toEqual(["127.0.0.1:7410", "127.0.0.1", 3]);
  });
  test("describes every key", () => {
    const keys = configKeys(agentConfigSchema);
    expect(keys.length).toBeGreaterThan(15);
    expect(keys.filter(({ description, defaultValue }) => description === "" || defaultValue === undefined)).toEqual(
      [],
    );
  });
  test("names an unknown key's nearest, and says what is wrong with a value", () => {
    const load = (settings: Record<string, unknown>) => () => loadConfig(agentConfigSchema, { settings });
    expect(load({ "fetch.concurency": "3" })).toThrow('no key "fetch.concurency"; the nearest is "fetch.concurrency"');
    expect(load({ "fetch.concurrency": "0" })).toThrow("fetch.concurrency");
    expect(load({ "seeder.url": "seeder:7400" })).toThrow(/seeder.url: must be an http or https URL/);
    expect(load({ "dht.bootstrap": "[nonsense]" })).toThrow(/dht.bootstrap.0: write HOST:PORT/);
  });
});
