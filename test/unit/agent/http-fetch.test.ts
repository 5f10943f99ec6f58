import { randomBytes } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { type Fetch, FetchPriority, FetchState } from "../../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import { fetchToEnd, fetchUntil, type RunningAgent, startAgent } from "./running-agent.ts";
import {
  type DataRequest,
  type ScriptedSeeder,
  sendFrom,
  sendHead,
  sendUpTo,
  sha256,
  startScriptedSeeder,
} from "./scripted-seeder.ts";

const bytes = randomBytes(3 * 1024 * 1024 + 17);
const half = 1_500_000;
const digest = sha256(bytes);
/** Where a download goes on that was cut: the last bytes before the cut may be lost with the connection. */
const between = (after: number, cut: number) =>
  expect.toSatisfy((offset: number) => offset > after && offset <= cut, `from ${after} to ${cut}`);
const someOfHalf = between(0, half);

/** What is in the cache directory. */
const imagesOn = (agent: RunningAgent) => readdir(join(agent.stateDirectory, "images"));

/** Answers that are held back until the test opens the gate. */
function gated() {
  const waiting: (() => void)[] = [];
  let open = false;
  return {
    waiting,
    hold: (answer: () => void) => void (open ? answer() : waiting.push(answer)),
    open: () => {
      open = true;
      for (const answer of waiting.splice(0)) answer();
    },
  };
}

async function codeOf(call: Promise<unknown>): Promise<[Code, string]> {
  const error = await call.then(
    () => new Error("it was answered"),
    (thrown: unknown) => thrown,
  );
  if (error instanceof ConnectError) return [error.code, error.rawMessage];
  throw error;
}

describe("an image without a magnet link", () => {
  test("arrives by HTTP, byte for byte, and is listed", async () => {
    const seeder = await startScriptedSeeder([{ name: "image", bytes }]);
    const agent = await startAgent(seeder.url);
    const { fetch, path } = await fetchToEnd(agent, "image");
    expect(fetch).toMatchObject({ digest, name: "image", state: FetchState.READY, error: "" });
    expect([fetch.doneBytes, fetch.httpBytes, fetch.swarmBytes]).toEqual([
      BigInt(bytes.length),
      BigInt(bytes.length),
      0n,
    ]);
    expect((await readFile(path)).equals(bytes)).toBe(true);
    const { images } = await agent.service.listImages({});
    expect(images).toMatchObject([{ digest, names: ["image"], path, pinned: false, seeding: false }]);
  });

  test("that is empty is ready at once", async () => {
    const seeder = await startScriptedSeeder([{ name: "empty", bytes: Buffer.alloc(0) }]);
    const { fetch, path } = await fetchToEnd(await startAgent(seeder.url), "empty");
    expect(fetch.state).toBe(FetchState.READY);
    expect(await readFile(path)).toHaveLength(0);
  });

  test("keeps its holes, also at its end, and goes on behind one", async () => {
    const sparse = Buffer.alloc(8 * 1024 * 1024);
    bytes.copy(sparse, 1024 * 1024, 0, 512 * 1024);
    const holeAt = 1536 * 1024;
    const cut = 6 * 1024 * 1024;
    const serve = ({ number, offset, response }: DataRequest) =>
      number === 1 ? sendUpTo(response, sparse, offset, cut) : sendFrom(response, sparse, offset);
    const seeder = await startScriptedSeeder([{ name: "sparse", bytes: sparse, serve }]);
    const agent = await startAgent(seeder.url);
    const { fetch, path } = await fetchToEnd(agent, "sparse");
    expect([fetch.state, seeder.offsets]).toEqual([FetchState.READY, [0, between(holeAt, cut)]]);
    expect((await readFile(path)).equals(sparse)).toBe(true);
    const { images } = await agent.service.listImages({});
    expect(Number(images[0]?.allocatedBytes)).toBeLessThan(1024 * 1024);
  });

  test("goes on where the connection broke", async () => {
    const serve = ({ number, offset, response }: DataRequest) =>
      number === 1 ? sendUpTo(response, bytes, offset, half) : sendFrom(response, bytes, offset);
    const seeder = await startScriptedSeeder([{ name: "image", bytes, serve }]);
    const { fetch } = await fetchToEnd(await startAgent(seeder.url), digest);
    expect([fetch.state, seeder.offsets]).toEqual([FetchState.READY, [0, someOfHalf]]);
    expect(fetch.httpBytes).toBe(BigInt(bytes.length));
  });

  test("goes on at another seeder where the one that sent it died", async () => {
    let dying: Promise<void> | undefined;
    const seeders: ScriptedSeeder[] = [];
    const start = () => {
      const serve = ({ offset, response }: DataRequest) => {
        if (dying) return sendFrom(response, bytes, offset);
        sendUpTo(response, bytes, offset, half);
        dying = seeders.find(({ offsets }) => offsets.length > 0)?.close();
      };
      return startScriptedSeeder([{ name: "image", bytes, serve }]);
    };
    seeders.push(await start(), await start());
    const agent = await startAgent(seeders.map(({ url }) => url).join(","));
    const { fetch, path } = await fetchToEnd(agent, digest);
    await dying;
    expect([fetch.state, fetch.httpBytes]).toEqual([FetchState.READY, BigInt(bytes.length)]);
    expect((await readFile(path)).equals(bytes)).toBe(true);
    // One request at each, the second from where the first was cut.
    expect(seeders.map(({ offsets }) => offsets).sort(([a], [b]) => Number(a) - Number(b))).toEqual([
      [0],
      [someOfHalf],
    ]);
  });

  test("goes on by itself where the agent was stopped", async () => {
    const serve = ({ number, offset, response }: DataRequest) => {
      if (number > 1) return sendFrom(response, bytes, offset);
      sendHead(response, bytes, offset);
      response.write(bytes.subarray(0, half));
    };
    const seeder = await startScriptedSeeder([{ name: "image", bytes, serve }]);
    const first = await startAgent(seeder.url);
    await fetchUntil(first, "image", (fetch) => fetch.doneBytes === BigInt(half));
    const second = await first.restart();
    await expect.poll(async () => (await second.service.listImages({})).images.length).toBe(1);
    expect(seeder.offsets).toEqual([0, half]);
  });

  test("starts over when the server takes no ranges", async () => {
    const serve = ({ number, response }: DataRequest) =>
      number === 1 ? sendUpTo(response, bytes, 0, half) : sendFrom(response, bytes, 0);
    const seeder = await startScriptedSeeder([{ name: "image", bytes, serve }]);
    const { fetch, path } = await fetchToEnd(await startAgent(seeder.url), "image");
    expect(fetch.state).toBe(FetchState.READY);
    expect((await readFile(path)).equals(bytes)).toBe(true);
  });

  test("waits for a seeder that is busy", async () => {
    const serve = ({ number, offset, response }: DataRequest) => {
      if (number > 1) return sendFrom(response, bytes, offset);
      response.writeHead(503, { "retry-after": "0" }).end("busy");
    };
    const seeder = await startScriptedSeeder([{ name: "image", bytes, serve }]);
    const { fetch } = await fetchToEnd(await startAgent(seeder.url), "image");
    expect([fetch.state, seeder.offsets]).toEqual([FetchState.READY, [0, 0]]);
  });

  test("of which nothing arrives any more fails in the end, and is gone on with when asked for again", async () => {
    let away = true;
    const serve = ({ number, offset, response }: DataRequest) => {
      if (number === 1) sendUpTo(response, bytes, offset, half);
      else if (away) response.writeHead(500).end();
      else sendFrom(response, bytes, offset);
    };
    const seeder = await startScriptedSeeder([{ name: "image", bytes, serve }]);
    const agent = await startAgent(seeder.url, { "fetch.giveUpMs": 1_000 });
    const { fetch } = await fetchToEnd(agent, "image");
    expect([fetch.state, fetch.error]).toEqual([
      FetchState.FAILED,
      expect.stringMatching(/nothing has arrived.*HTTP 500/),
    ]);
    away = false;
    expect((await fetchToEnd(agent, "image")).fetch).toMatchObject({ state: FetchState.READY });
    expect(seeder.offsets.at(-1)).toEqual(someOfHalf);
  });
});

describe("a seeder that lies", () => {
  /** Fetches the one image and expects the fetch to fail with nothing kept. */
  async function failure(image: { said?: object; serve?: (request: DataRequest) => void }): Promise<Fetch> {
    const seeder = await startScriptedSeeder([{ name: "image", bytes, ...image }]);
    const agent = await startAgent(seeder.url);
    const { fetch, path } = await fetchToEnd(agent, "image");
    expect([fetch.state, path]).toEqual([FetchState.FAILED, ""]);
    expect((await agent.service.listImages({})).images).toEqual([]);
    return fetch;
  }

  test("about the size, too large, is found out", async () => {
    const { error } = await failure({ said: { sizeBytes: BigInt(bytes.length + 1) } });
    expect(error).toContain(
      `has ${bytes.length + 1} bytes, but the origin has ${bytes.length}; publish the image again`,
    );
  });

  test("about the size, too small, is found out", async () => {
    const { error } = await failure({ said: { sizeBytes: BigInt(half) } });
    expect(error).toContain(`has ${half} bytes, but the origin has ${bytes.length}`);
  });

  test("by sending more than it announced is found out", async () => {
    const serve = ({ response }: DataRequest) => {
      response.writeHead(200, { etag: `"${digest}"` });
      response.end(Buffer.concat([bytes, bytes]));
    };
    const { error } = await failure({ serve });
    expect(error).toContain("the origin sends more");
  });

  test("about the content is found out by sha256, both digests are named, and nothing stays", async () => {
    const wrong = Buffer.from(bytes);
    wrong[half]! ^= 1;
    const serve = ({ response, offset }: DataRequest) => sendFrom(response, wrong, offset, digest);
    const seeder = await startScriptedSeeder([{ name: "image", bytes, serve }]);
    const agent = await startAgent(seeder.url);
    const { fetch } = await fetchToEnd(agent, "image");
    expect(fetch.state).toBe(FetchState.FAILED);
    expect(fetch.error).toContain(digest);
    expect(fetch.error).toContain(sha256(wrong));
    expect(await imagesOn(agent)).toEqual([]);
    expect(seeder.offsets).toEqual([0]);
  });

  test("in the first half of a broken download has one more chance, from the beginning", async () => {
    const serve = ({ number, offset, response }: DataRequest) =>
      number === 1
        ? sendUpTo(response, Buffer.alloc(bytes.length), offset, half, digest)
        : sendFrom(response, bytes, offset);
    const seeder = await startScriptedSeeder([{ name: "image", bytes, serve }]);
    const { fetch } = await fetchToEnd(await startAgent(seeder.url), "image");
    expect([fetch.state, seeder.offsets]).toEqual([FetchState.READY, [0, someOfHalf, 0]]);
  });

  test("about which image it is, is found out before a byte is taken", async () => {
    const serve = ({ response }: DataRequest) => sendFrom(response, bytes, 0, "f".repeat(64));
    expect((await failure({ serve })).error).toContain("something else (ETag");
  });

  test.each([
    ["a digest that is a path", { digest: "../../../etc/passwd" }, "digest"],
    ["a digest in capitals", { digest: "AB".repeat(32) }, "digest"],
    ["a size beyond all disks", { sizeBytes: 2n ** 63n }, "sizeBytes"],
    ["a path that leads elsewhere", { dataPath: "//elsewhere.example/x" }, "dataPath"],
    ["a URL for a path", { dataPath: "http://elsewhere.example/x" }, "dataPath"],
    ["an infohash that is none", { infohash: "nonsense" }, "infohash"],
  ])("with %s is refused", async (_case, said, field) => {
    const seeder = await startScriptedSeeder([{ name: "image", bytes, said }]);
    const agent = await startAgent(seeder.url);
    const [code, message] = await codeOf(fetchToEnd(agent, "image"));
    expect([code, message]).toEqual([Code.DataLoss, expect.stringContaining(`makes no sense (${field}`)]);
    expect(await imagesOn(agent)).toEqual([]);
  });
});

describe("many requests", () => {
  test("for one image share one fetch, and ending a call does not end it", async () => {
    const gate = gated();
    const serve = ({ offset, response }: DataRequest) => gate.hold(() => sendFrom(response, bytes, offset));
    const seeder = await startScriptedSeeder([{ name: "image", bytes, serve }]);
    const agent = await startAgent(seeder.url);
    await fetchUntil(agent, "image", (fetch) => fetch.state === FetchState.ACTIVE);
    const others = [fetchToEnd(agent, "image"), fetchToEnd(agent, digest)];
    await fetchUntil(agent, digest, (fetch) => fetch.state === FetchState.ACTIVE);
    gate.open();
    const ends = await Promise.all(others);
    expect(ends.map(({ fetch }) => fetch.state)).toEqual([FetchState.READY, FetchState.READY]);
    expect(seeder.offsets).toEqual([0]);
  });

  test("never have more active than allowed, and go by urgency", async () => {
    const gate = gated();
    const images = Array.from({ length: 8 }, (_, index) => {
      const content = randomBytes(1_000 + index);
      const serve = ({ offset, response }: DataRequest) => gate.hold(() => sendFrom(response, content, offset));
      return { name: `image-${index}`, bytes: content, serve };
    });
    const seeder = await startScriptedSeeder(images);
    const agent = await startAgent(seeder.url);
    const abort = new AbortController();
    let activeMost = 0;
    const watching = (async () => {
      for await (const { fetches } of agent.service.watchFetches({}, { signal: abort.signal })) {
        activeMost = Math.max(activeMost, fetches.filter(({ state }) => state === FetchState.ACTIVE).length);
      }
    })().catch(() => {});
    const ends: Promise<unknown>[] = [];
    for (const { name } of images) {
      const urgent = name === "image-7" ? FetchPriority.ENSURE : FetchPriority.PREFETCH;
      const answers = agent.service.ensureImage({ image: name, priority: urgent })[Symbol.asyncIterator]();
      await answers.next();
      ends.push(drain(answers));
    }
    // One that is ahead of need has given its place to the one that is not.
    await expect.poll(() => gate.waiting.length).toBe(4);
    const { fetches } = await agent.service.listFetches({});
    expect(fetches.map(({ state }) => state)).toEqual([
      ...Array(3).fill(FetchState.ACTIVE),
      ...Array(5).fill(FetchState.QUEUED),
    ]);
    expect(fetches.map(({ name }) => name).slice(3)).toEqual(["image-2", "image-3", "image-4", "image-5", "image-6"]);
    expect(await agent.service.getStatus({})).toMatchObject({
      fetchesActive: 3,
      fetchesActiveMax: 3,
      fetchesQueued: 5,
    });
    gate.open();
    await Promise.all(ends);
    abort.abort();
    await watching;
    expect(activeMost).toBe(3);
    expect((await agent.service.listImages({})).images).toHaveLength(8);
  });

  test("beyond the queue are refused with what to do", async () => {
    const serve = () => {};
    const images = ["a", "b", "c"].map((name) => ({ name, bytes: Buffer.from(name), serve }));
    const seeder = await startScriptedSeeder(images);
    const agent = await startAgent(seeder.url, { "fetch.concurrency": 1, "fetch.queueMax": 1 });
    await fetchUntil(agent, "a", () => true);
    await fetchUntil(agent, "b", () => true);
    const [code, message] = await codeOf(fetchToEnd(agent, "c"));
    expect([code, message]).toEqual([Code.ResourceExhausted, expect.stringContaining("(fetch.queueMax)")]);
  });
});

async function drain(answers: AsyncIterator<unknown>): Promise<void> {
  while (!(await answers.next()).done);
}

describe("cancelling and removing", () => {
  /** An image of which the first half arrives, and then nothing; later requests are answered in full. */
  const stalling = ({ number, offset, response }: DataRequest) => {
    if (number > 1) return sendFrom(response, bytes, offset);
    sendHead(response, bytes, offset);
    response.write(bytes.subarray(0, half));
  };
  const halfHere = (fetch: Fetch) => fetch.doneBytes === BigInt(half);

  test("a cancelled fetch ends its streams, stays ended after a restart, and is resumed when asked for", async () => {
    const seeder = await startScriptedSeeder([{ name: "image", bytes, serve: stalling }]);
    const first = await startAgent(seeder.url);
    const end = fetchToEnd(first, "image");
    await fetchUntil(first, "image", halfHere);
    expect((await first.service.cancelFetch({ image: "image" })).fetch?.state).toBe(FetchState.CANCELLED);
    expect((await end).fetch.state).toBe(FetchState.CANCELLED);
    expect((await codeOf(first.service.cancelFetch({ image: "image" })))[0]).toBe(Code.NotFound);
    const second = await first.restart();
    expect((await second.service.listFetches({})).fetches).toEqual([]);
    expect((await fetchToEnd(second, "image")).fetch.state).toBe(FetchState.READY);
    expect(seeder.offsets).toEqual([0, half]);
  });

  test("removing an image that is being fetched cancels and leaves nothing", async () => {
    const seeder = await startScriptedSeeder([{ name: "image", bytes, serve: stalling }]);
    const agent = await startAgent(seeder.url);
    await fetchUntil(agent, "image", halfHere);
    expect((await agent.service.removeImage({ image: "image" })).digest).toBe(digest);
    expect(await imagesOn(agent)).toEqual([]);
    expect((await agent.service.listFetches({})).fetches).toMatchObject([{ state: FetchState.CANCELLED }]);
  });

  test("a pinned image is not removed until it is unpinned, across restarts too", async () => {
    const seeder = await startScriptedSeeder([{ name: "image", bytes }]);
    const first = await startAgent(seeder.url);
    expect((await codeOf(first.service.pinImage({ image: "image" })))[0]).toBe(Code.NotFound);
    await fetchToEnd(first, "image");
    expect((await first.service.pinImage({ image: "image" })).image?.pinned).toBe(true);
    const agent = await first.restart();
    const [code, message] = await codeOf(agent.service.removeImage({ image: digest }));
    expect([code, message]).toEqual([Code.FailedPrecondition, expect.stringContaining("is pinned; unpin it")]);
    await agent.service.unpinImage({ image: digest });
    expect(Number((await agent.service.removeImage({ image: "image" })).freedBytes)).toBeGreaterThanOrEqual(
      bytes.length,
    );
    expect((await codeOf(agent.service.getImage({ image: "image" })))[0]).toBe(Code.NotFound);
  });
});

describe("what cannot be", () => {
  test("an image that is larger than the disk is refused with the figures, before a byte is fetched", async () => {
    const seeder = await startScriptedSeeder([{ name: "image", bytes, said: { sizeBytes: 2n ** 47n } }]);
    const agent = await startAgent(seeder.url);
    const [code, message] = await codeOf(fetchToEnd(agent, "image"));
    expect(code).toBe(Code.ResourceExhausted);
    expect(message).toMatch(/needs 128 TiB \(140737488355328 bytes\), the disk has .* free \(\d+ bytes\)/);
    expect(seeder.offsets).toEqual([]);
  });

  test("unknown images and impossible names", async () => {
    const agent = await startAgent((await startScriptedSeeder([])).url);
    expect(await codeOf(fetchToEnd(agent, "nothing"))).toEqual([Code.NotFound, 'there is no image "nothing"']);
    expect((await codeOf(fetchToEnd(agent, "../x")))[0]).toBe(Code.InvalidArgument);
    expect((await codeOf(agent.service.removeImage({ image: ".." })))[0]).toBe(Code.InvalidArgument);
  });
});

test("without a seeder an agent starts, says so, serves what it has by digest and name, and comes back by itself", async () => {
  const seeder = await startScriptedSeeder([{ name: "image", bytes }]);
  const first = await startAgent(seeder.url);
  await fetchToEnd(first, "image");
  await seeder.close();
  const agent = await first.restart();
  const ready = await fetch(`${agent.url}/readyz`);
  expect([ready.status, await ready.text()]).toEqual([503, expect.stringContaining("not ready: ")]);
  expect((await fetchToEnd(agent, "image")).fetch).toMatchObject({
    state: FetchState.READY,
    activity: "it was here already",
  });
  expect((await fetchToEnd(agent, digest)).fetch.state).toBe(FetchState.READY);
  const [code, message] = await codeOf(fetchToEnd(agent, "other"));
  expect(code).toBe(Code.Unavailable);
  expect(message).toContain(
    `"other" is not in this node's cache, and the catalog cannot be asked: the seeder at ${seeder.url}`,
  );
  const status = await agent.service.getStatus({});
  expect([status.seederReachable, status.seederError]).toEqual([false, expect.stringContaining("does not answer")]);
  await startScriptedSeeder([{ name: "image", bytes }], Number(new URL(seeder.url).port));
  await expect.poll(async () => (await fetch(`${agent.url}/readyz`)).status, { timeout: 10_000 }).toBe(200);
});
