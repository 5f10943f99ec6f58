/** The origin's budget as clients see it. */
import { randomBytes } from "node:crypto";
import { connect, type Socket } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { type RunningSeeder, startSeeder } from "./running-seeder.ts";

const bytes = randomBytes(20_000_000);

async function publish(seeder: RunningSeeder, name: string, query = ""): Promise<void> {
  const response = await fetch(`${seeder.url}/images/${name}${query}`, { method: "PUT", body: bytes });
  expect(response.status).toBeLessThan(300);
}

async function metric(seeder: RunningSeeder, name: string): Promise<number> {
  const text = await (await fetch(`${seeder.url}/metrics`)).text();
  const line = text.split("\n").find((each) => each.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1));
}

/** A client that asks for an image and takes its first bytes, and no more. */
async function holdSlot(seeder: RunningSeeder, name: string): Promise<Socket> {
  const socket = connect(Number(new URL(seeder.url).port), "127.0.0.1").on("error", () => {});
  onTestFinished(() => void socket.destroy());
  socket.write(`GET /images/${name}/data HTTP/1.1\r\nHost: x\r\nBootswarm-Node: holder\r\n\r\n`);
  await new Promise((resolve) => socket.once("data", resolve));
  socket.pause();
  return socket;
}

const slotsInUse = "bootswarm_seeder_fallback_slots_in_use";
const get = (seeder: RunningSeeder, path: string, headers: Record<string, string> = {}) =>
  fetch(`${seeder.url}/images/${path}`, { headers: { range: "bytes=0-99", ...headers } });

test("beyond its slots, a download of an image that peers have too is refused with a time to ask again", async () => {
  const seeder = await startSeeder({ "origin.fallbackSlots": 1 });
  await publish(seeder, "one");
  const holder = await holdSlot(seeder, "one");
  expect(await metric(seeder, slotsInUse)).toBe(1);
  const asAgent: Record<string, string> = { "bootswarm-fallback": "budgeted", "bootswarm-node": "n1" };
  for (const headers of [{}, asAgent]) {
    const refused = await get(seeder, "one/data", headers);
    expect(refused.status).toBe(503);
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
    expect(Number(refused.headers.get("bootswarm-retry-after-ms"))).toBeGreaterThan(0);
    expect(await refused.json()).toMatchObject({ code: "unavailable", message: expect.stringContaining("slots") });
  }
  // What has no bytes needs no slot.
  expect((await fetch(`${seeder.url}/images/one/data`, { method: "HEAD" })).status).toBe(200);
  expect(await metric(seeder, "bootswarm_seeder_fallback_refused_total")).toBe(2);
  expect(await metric(seeder, "bootswarm_seeder_fallback_nodes_waiting")).toBe(2);
  holder.destroy();
  await expect.poll(() => metric(seeder, slotsInUse)).toBe(0);
  const answer = await get(seeder, "one/data", { "bootswarm-node": "n1" });
  expect([answer.status, (await answer.arrayBuffer()).byteLength]).toEqual([206, 100]);
  await expect.poll(() => metric(seeder, slotsInUse)).toBe(0);
});

test("a node that is set to use HTTP always, and an image that only the origin has, are outside the budget", async () => {
  const seeder = await startSeeder({ "origin.fallbackSlots": 1 });
  await publish(seeder, "one");
  await holdSlot(seeder, "one");
  const always = await get(seeder, "one/data", { "bootswarm-fallback": "always" });
  expect([always.status, (await always.arrayBuffer()).byteLength]).toEqual([206, 100]);
  expect(await metric(seeder, 'bootswarm_seeder_fallback_sent_bytes_total{mode="always"}')).toBe(100);
  const plain = await startSeeder({ "origin.fallbackSlots": 1 });
  await publish(plain, "one", "?torrent=false");
  await holdSlot(plain, "one");
  expect(await metric(plain, slotsInUse)).toBe(0);
  expect((await get(plain, "one/data")).status).toBe(206);
});

test("a client that takes nothing loses its slot", async () => {
  const seeder = await startSeeder({ "origin.fallbackSlots": 1, "download.idleTimeoutMs": 100 });
  await publish(seeder, "one");
  await holdSlot(seeder, "one");
  await expect.poll(() => metric(seeder, slotsInUse), { timeout: 10_000 }).toBe(0);
});

test("the torrent of an image counts where a node asks for it for want of peers, and not for others", async () => {
  const seeder = await startSeeder({ "origin.fallbackSlots": 1 });
  await publish(seeder, "one");
  await holdSlot(seeder, "one");
  expect((await get(seeder, "one.torrent", { "bootswarm-fallback": "budgeted" })).status).toBe(503);
  expect((await get(seeder, "one.torrent")).status).toBe(200);
});

test("all downloads together are sent no faster than the rate, and all arrive", async () => {
  const bytesPerSecond = 4_000_000;
  const seeder = await startSeeder({ "origin.fallbackBytesPerSecond": bytesPerSecond });
  await publish(seeder, "one");
  const startMs = performance.now();
  const parts = [0, 1, 2, 3].map(async (part) => {
    const range = `bytes=${part * 1_000_000}-${(part + 1) * 1_000_000 - 1}`;
    const answer = await get(seeder, "one/data", { range, "bootswarm-node": `n${part}` });
    return Buffer.from(await answer.arrayBuffer()).equals(bytes.subarray(part * 1_000_000, (part + 1) * 1_000_000));
  });
  expect(await Promise.all(parts)).toEqual([true, true, true, true]);
  // Slower is always possible; faster never, but for what may come at once after a pause.
  expect(performance.now() - startMs).toBeGreaterThan((4_000_000 / bytesPerSecond) * 1_000 - 200);
});
