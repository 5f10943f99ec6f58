import { createHash, randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { ImageCache } from "../../../agent/cache/image-cache.ts";
import { InUse } from "../../../agent/cache/in-use.ts";
import { imagePaths, stateLayout } from "../../../agent/cache/layout.ts";
import { Leases } from "../../../agent/leases.ts";
import { createLog } from "../../../daemon/log.ts";
import type { Lease } from "../../../proto/gen/bootswarm/agent/v1/agent_pb.js";
import type { Clock } from "../../../swarm/types.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";
import { fetchToEnd, type RunningAgent, startAgent } from "./running-agent.ts";
import { startScriptedSeeder } from "./scripted-seeder.ts";

const log = createLog({ level: "silent", name: "test" });
const dayMs = 24 * 3_600_000;

/** An agent that has the image "held" and room for no other beside it. */
async function agentWithImage(): Promise<RunningAgent> {
  const images = ["held", "new"].map((name) => ({ name, bytes: randomBytes(1_000_000) }));
  const seeder = await startScriptedSeeder(images);
  const agent = await startAgent(seeder.url, { "cache.quotaBytes": 1_500_000 });
  await fetchToEnd(agent, "held");
  return agent;
}

async function problemOf(work: Promise<unknown>): Promise<ConnectError> {
  const fault = await work.then(
    () => "nothing failed",
    (error: unknown) => error,
  );
  return ConnectError.from(fault);
}

test("a lease keeps its image from eviction and removal, naming the holder, until it is released", async () => {
  const { service, ...rest } = await agentWithImage();
  const agent = { service, ...rest };
  const { lease, path } = await service.acquireLease({ image: "held", holder: "vm-12", ttlMs: 60_000n });
  expect(path).toBe((await service.getImage({ image: "held" })).image?.path);
  expect((await service.getImage({ image: "held" })).image?.holders).toEqual([`lease ${lease?.id} (vm-12)`]);
  expect((await problemOf(fetchToEnd(agent, "new"))).rawMessage).toContain("in use: 980 KiB");
  const refused = await problemOf(service.removeImage({ image: "held" }));
  expect(refused.code).toBe(Code.FailedPrecondition);
  expect(refused.rawMessage).toContain(`"held" is in use: lease ${lease?.id} (vm-12); wait for it, release the lease`);
  await service.releaseLease({ id: lease!.id });
  await fetchToEnd(agent, "new");
  expect((await service.listImages({})).images).toMatchObject([{ names: ["new"] }]);
});

test("a lease outlasts a restart, can be renewed and listed there, and ends with a removal by force", async () => {
  const agent = await agentWithImage();
  const { lease } = await agent.service.acquireLease({ image: "held", holder: "vm-12", ttlMs: 60_000n });
  const { service } = await agent.restart();
  expect((await service.listLeases({})).leases).toEqual([lease]);
  expect((await service.getStatus({})).leases).toBe(1);
  const renewed = await service.renewLease({ id: lease!.id, ttlMs: 3_600_000n });
  expect(Number(renewed.lease!.expiresAt!.seconds - lease!.expiresAt!.seconds)).toBeGreaterThan(3_000);
  expect((await problemOf(service.removeImage({ image: "held" }))).code).toBe(Code.FailedPrecondition);
  await service.removeImage({ image: "held", force: true });
  expect((await service.listLeases({})).leases).toEqual([]);
  expect((await problemOf(service.releaseLease({ id: lease!.id }))).code).toBe(Code.NotFound);
});

test("an image is held for as long as the call is open", async () => {
  const { service } = await agentWithImage();
  const call = new AbortController();
  for await (const { lease, path } of service.holdImage({ image: "held", holder: "vm" }, { signal: call.signal })) {
    expect(path).toBe((await service.getImage({ image: "held" })).image?.path);
    expect(lease?.expiresAt).toBeUndefined();
    expect((await problemOf(service.removeImage({ image: "held" }))).rawMessage).toContain("(vm)");
    break;
  }
  call.abort();
  await expect.poll(async () => (await service.listLeases({})).leases).toEqual([]);
  await service.removeImage({ image: "held" });
});

test("a hold that an agent's restart interrupted is taken up again by its id", async () => {
  const agent = await agentWithImage();
  const held = agent.service.holdImage({ image: "held" })[Symbol.asyncIterator]();
  const { id } = (await held.next()).value!.lease!;
  const broken = held.next().catch(() => {});
  const { service } = await agent.restart();
  await broken;
  expect((await problemOf(service.removeImage({ image: "held" }))).code).toBe(Code.FailedPrecondition);
  const call = new AbortController();
  for await (const { lease } of service.holdImage({ image: "held", leaseId: id }, { signal: call.signal })) {
    expect(lease?.id).toBe(id);
    break;
  }
  call.abort();
  await expect.poll(async () => (await service.listLeases({})).leases).toEqual([]);
});

test("a hold tells its caller when the image is removed by force", async () => {
  const { service } = await agentWithImage();
  const held = service.holdImage({ image: "held" })[Symbol.asyncIterator]();
  await held.next();
  const ended = problemOf(held.next());
  await service.removeImage({ image: "held", force: true });
  expect((await ended).rawMessage).toContain('"held" is not held any more: the image was removed');
});

test("what cannot be leased is refused", async () => {
  const { service } = await agentWithImage();
  const codeOf = async (fields: object) =>
    (await problemOf(service.acquireLease({ image: "held", ttlMs: 60_000n, ...fields }))).code;
  expect(await codeOf({ ttlMs: 999n })).toBe(Code.InvalidArgument);
  expect(await codeOf({ ttlMs: BigInt(31 * dayMs) })).toBe(Code.InvalidArgument);
  expect(await codeOf({ holder: "x".repeat(129) })).toBe(Code.InvalidArgument);
  expect(await codeOf({ holder: "two\nlines" })).toBe(Code.InvalidArgument);
  expect(await codeOf({ image: "new" })).toBe(Code.NotFound);
});

/** A clock that goes on by leaps, past any number of days. */
class JumpingClock implements Clock {
  #nowMs = 0;
  readonly #timers = new Set<{ atMs: number; run: () => void }>();

  now(): number {
    return this.#nowMs;
  }

  after(delayMs: number, run: () => void): () => void {
    const timer = { atMs: this.#nowMs + delayMs, run };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  advance(ms: number): void {
    this.#nowMs += ms;
    const due = [...this.#timers].filter(({ atMs }) => atMs <= this.#nowMs);
    for (const timer of due) if (this.#timers.delete(timer)) timer.run();
  }
}

/** A cache with one complete image, and leases on it by a clock that is moved by hand. */
async function leasesByHand() {
  const layout = stateLayout(await temporaryDirectory());
  const clock = new JumpingClock();
  const now = () => new Date(1_800_000_000_000 + clock.now());
  const digest = createHash("sha256").update("x").digest("hex");
  const cache = await ImageCache.open(layout, now, log);
  const facts = { digest, names: [], sizeBytes: 1, format: "raw", virtualSizeBytes: 1 } as const;
  await cache.begin(
    { ...facts, names: [], magnetUri: "", infohash: "", dataPath: "" },
    { name: "", priority: "ensure", requestedAt: now().toISOString() },
  );
  await writeFile(imagePaths(layout, digest).data, "x");
  await cache.complete(digest);
  const open = async () => {
    const inUse = new InUse();
    const opened = await ImageCache.open(layout, now, log);
    return { inUse, leases: new Leases({ cache: opened, inUse, clock, now, log }) };
  };
  return { digest, clock, open, path: imagePaths(layout, digest).leases };
}

test("a lease ends when its time has come, however often the agent was restarted", async () => {
  const { digest, clock, open } = await leasesByHand();
  const first = await open();
  await first.leases.acquire(digest, "short", 10_000);
  await first.leases.acquire(digest, "long", 30 * dayMs);
  first.leases.close();
  clock.advance(5_000);
  const { inUse, leases } = await open();
  expect(leases.count).toBe(2);
  const ended = inUse.changes.after(inUse.changes.version, new AbortController().signal);
  clock.advance(5_000);
  await ended;
  expect(leases.list()).toMatchObject([{ holder: "long" }]);
  clock.advance(30 * dayMs);
  expect((await open()).leases.count).toBe(0);
});

test("a hold whose caller does not come back within a minute of a restart ends", async () => {
  const { digest, clock, open } = await leasesByHand();
  const first = await open();
  const { id } = await first.leases.acquire(digest, "gone", undefined);
  await first.leases.acquire(digest, "back", undefined);
  first.leases.close();
  await first.leases.callEnded(id);
  clock.advance(dayMs);
  const { inUse, leases } = await open();
  const back = leases.list().find(({ holder }) => holder === "back");
  expect(leases.takeUp(back!.id, digest)).toBeDefined();
  const ended = inUse.changes.after(inUse.changes.version, new AbortController().signal);
  clock.advance(60_000);
  await ended;
  expect(leases.list()).toMatchObject([{ holder: "back" }]);
  expect(leases.takeUp(id, digest)).toBeUndefined();
});

test.each(["", "{", '{"version":1,"leases":[{"id":"../x"}]}', '{"version":1,"leases":"all"}'])(
  "leases.json that reads %j keeps the image for a day",
  async (text) => {
    const { digest, clock, open, path } = await leasesByHand();
    await writeFile(path, text);
    const { inUse, leases } = await open();
    expect(inUse.holdersOf(digest)).toEqual([expect.stringContaining("leases.json that cannot be read")]);
    const ended = inUse.changes.after(inUse.changes.version, new AbortController().signal);
    clock.advance(dayMs);
    await ended;
    expect(leases.count).toBe(0);
  },
);

/** An agent that has two images, stopped, with the same text as leases.json of each. */
async function agentWithLeases(text: string) {
  const images = ["a", "b"].map((name) => ({ name, bytes: randomBytes(100_000) }));
  const agent = await startAgent((await startScriptedSeeder(images)).url);
  const paths: string[] = [];
  for (const name of ["a", "b"]) paths.push(join(dirname((await fetchToEnd(agent, name)).path), "leases.json"));
  await agent.close();
  for (const path of paths) await writeFile(path, text);
  return { agent, paths };
}

test("the day for which leases that cannot be read keep their images does not begin anew with every start", async () => {
  const { agent, paths } = await agentWithLeases("{");
  const started = await agent.restart();
  const { leases } = await started.service.listLeases({});
  expect(leases.map(({ names }) => names[0]).sort()).toEqual(["a", "b"]);
  const written = async () => (await Promise.all(paths.map((path) => readFile(path, "utf8")))).join("");
  await expect.poll(written).toMatch(/unreadable-[\s\S]*unreadable-/);
  const again = await started.restart();
  const byId = (list: readonly Lease[]) => [...list].sort((a, b) => (a.id < b.id ? -1 : 1));
  expect(byId((await again.service.listLeases({})).leases)).toEqual(byId(leases));
});

test("two images whose leases have the same id are both kept, and both let go", async () => {
  const acquiredAt = new Date().toISOString();
  const expiresAt = new Date(Date.now() + dayMs).toISOString();
  const leases = [{ id: "0123456789ab", holder: "vm", acquiredAt, expiresAt }];
  const { agent } = await agentWithLeases(JSON.stringify({ version: 1, leases }));
  const { service } = await agent.restart();
  for (const { id } of (await service.listLeases({})).leases) await service.releaseLease({ id });
  for (const name of ["a", "b"]) expect((await service.removeImage({ image: name })).freedBytes).toBeGreaterThan(0n);
});
