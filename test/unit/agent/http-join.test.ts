import { createHash, randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import pino from "pino";
import { describe, expect, onTestFinished, test } from "vitest";
import type { ImageFacts } from "../../../agent/cache/records.ts";
import { HttpJoin } from "../../../agent/fetch/http-join.ts";
import { HttpOrigin } from "../../../agent/fetch/http-origin.ts";
import { RatePace } from "../../../agent/fetch/pace.ts";
import { type Fetch, FetchState } from "../../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import { infoBytesOf, magnetUriOf, torrentInfoFromInfoBytes } from "../../../swarm/metainfo.ts";
import { Swarm } from "../../../swarm/swarm.ts";
import { systemClock } from "../../../swarm/system-clock.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";
import { fetchToEnd, fetchUntil, startAgent } from "./running-agent.ts";
import { type DataRequest, sendRange, sha256, startScriptedSeeder } from "./scripted-seeder.ts";

const pieceBytes = 64 * 1024;
const pieceCount = 16;
const bytes = randomBytes(pieceBytes * pieceCount);
const digest = sha256(bytes);
const info = torrentInfoFromInfoBytes(
  infoBytesOf({
    name: "image",
    lengthBytes: bytes.length,
    pieceLengthBytes: pieceBytes,
    pieceHashes: Buffer.concat(
      Array.from({ length: pieceCount }, (_, index) => {
        const piece = bytes.subarray(index * pieceBytes, (index + 1) * pieceBytes);
        return createHash("sha1").update(piece).digest();
      }),
    ),
  }),
);

/** A peer that tells what the torrent's pieces are, and has none of them. */
async function startEmptyPeer() {
  const directory = await temporaryDirectory();
  const swarm = await Swarm.open({ host: "127.0.0.1", port: 0, dhtPort: 0 });
  swarm.add({
    infohash: info.infohash,
    info,
    dataPath: join(directory, "data"),
    havePath: join(directory, "have"),
  });
  let closed: Promise<void> | undefined;
  const close = () => {
    closed ??= swarm.close();
    return closed;
  };
  onTestFinished(close);
  return { endpoint: { host: "127.0.0.1", port: swarm.peerPort }, close };
}

/** A seeder outside the swarm, of whose image one peer knows the pieces and nobody else has any. */
async function startSituation(serve: (request: DataRequest) => void, settings: Record<string, unknown> = {}) {
  const peer = await startEmptyPeer();
  const said = { infohash: info.infohash, magnetUri: magnetUriOf(info, [peer.endpoint]) };
  const seeder = await startScriptedSeeder([{ name: "image", bytes, said, serve }]);
  const warnings: { msg: string; error?: string }[] = [];
  const log = pino({ level: "warn" }, { write: (line: string) => void warnings.push(JSON.parse(line)) });
  const agent = await startAgent(seeder.url, { "fetch.stallMs": 300, ...settings }, log);
  const ofHttp = () => warnings.filter(({ msg }) => msg.startsWith("the seeder's HTTP"));
  return { peer, seeder, agent, warnings: ofHttp };
}

describe("when HTTP joins peers that have nothing, and the seeder", () => {
  test("has retired the image, the fetch fails as soon as no peer is left, and says why", async () => {
    const { peer, seeder, agent, warnings } = await startSituation(({ response }) => response.writeHead(404).end());
    const refused = `fetching from 1 peer; HTTP: the seeder no longer has image ${digest}`;
    let closing: Promise<void> | undefined;
    let last: Fetch | undefined;
    // One call to the end: a second might come after it, and begin anew.
    for await (const { fetch } of agent.service.ensureImage({ image: "image" })) {
      last = fetch;
      if (fetch?.activity.includes(refused)) closing ??= peer.close();
    }
    await closing;
    expect([last?.state, last?.error]).toEqual([
      FetchState.FAILED,
      expect.stringMatching(
        /^nothing has arrived for \d+ s \(no peers; HTTP: the seeder no longer has image .*retired/,
      ),
    ]);
    expect(warnings()).toEqual([expect.objectContaining({ error: expect.stringContaining("no longer has image") })]);
    // The ranges that were under way together, and none after them.
    expect(seeder.offsets.length).toBeLessThanOrEqual(4);
  });

  test("serves something else, the fetch fails with peers and all, and goes on from what is here", async () => {
    let lying = true;
    const { seeder, agent, warnings } = await startSituation((request) => {
      if (request.number > 8 && lying) sendRange(request, bytes, "f".repeat(64));
      else sendRange(request, bytes);
    });
    const { fetch } = await fetchToEnd(agent, "image");
    expect([fetch.state, fetch.error]).toEqual([
      FetchState.FAILED,
      expect.stringMatching(/fetching from 1 peer; HTTP: the origin serves something else \(ETag "f+"\).*is kept$/),
    ]);
    expect(warnings()).toHaveLength(1);
    lying = false;
    const again = await fetchToEnd(agent, "image");
    expect(again.fetch.state).toBe(FetchState.READY);
    expect(Number(again.fetch.httpBytes)).toBeLessThanOrEqual(bytes.length / 2 + pieceBytes);
    expect((await readFile(again.path)).equals(bytes)).toBe(true);
    expect(seeder.offsets.length).toBeLessThan(2 * pieceCount);
  });

  test("serves pieces that fail their hash, it is left alone after a few, and the fetch fails and says so", async () => {
    const wrong = Buffer.alloc(bytes.length);
    const { seeder, agent } = await startSituation((request) => sendRange(request, wrong, digest));
    const { fetch } = await fetchToEnd(agent, "image");
    expect([fetch.state, fetch.error]).toEqual([
      FetchState.FAILED,
      expect.stringMatching(
        /HTTP: 3 pieces of http:.* failed their hash; it is not asked any more; pieces that failed .* came from http:.* \(\d+\)/,
      ),
    ]);
    expect(seeder.offsets.length).toBeLessThan(pieceCount);
  });

  test("does not answer, the activity says so, and so does the error in the end", async () => {
    const { agent, warnings } = await startSituation(({ response }) => response.socket?.destroy());
    // In two fetches, since it is the machine that says whether one is seen to wait before its time is over.
    await fetchUntil(agent, "image", ({ activity }) => activity.includes("HTTP: the seeder does not answer: "));
    expect(warnings()).toHaveLength(1);
    const impatient = await agent.restart({ "fetch.giveUpMs": 5_000 });
    const failure = async () => {
      const { fetch } = await fetchToEnd(impatient, "image");
      return [FetchState[fetch.state], fetch.error];
    };
    // One that the machine keeps from asking anybody for so long fails before it knows why.
    await expect
      .poll(failure, { timeout: 90_000 })
      .toEqual(["FAILED", expect.stringMatching(/from 1 peer; HTTP: the seeder does not answer: .*is up$/)]);
  });

  test("is busy, it is not asked again before the time that it says", async () => {
    const atMs: number[] = [];
    const { agent } = await startSituation((request) => {
      atMs.push(performance.now());
      if (request.number > 4) sendRange(request, bytes);
      else request.response.writeHead(503, { "retry-after": "2" }).end();
    });
    const { activity } = await fetchUntil(agent, "image", ({ activity }) => activity.includes("HTTP: "));
    expect(activity).toContain("fetching from 1 peer; HTTP: the seeder is busy (HTTP 503)");
    const { fetch } = await fetchToEnd(agent, "image");
    expect([fetch.state, fetch.httpBytes]).toEqual([FetchState.READY, BigInt(bytes.length)]);
    expect(atMs[4]! - atMs[3]!).toBeGreaterThanOrEqual(2_000);
  });
});

test("while HTTP is held to a pace that is used up, what a read waits for comes all the same, and nothing else", async () => {
  const seeder = await startScriptedSeeder([{ name: "image", bytes }]);
  const directory = await temporaryDirectory();
  const swarm = await Swarm.open({ host: "127.0.0.1", port: 0, dhtPort: 0 });
  onTestFinished(() => swarm.close());
  const files = { dataPath: join(directory, "data"), havePath: join(directory, "have") };
  const torrent = swarm.add({ infohash: info.infohash, info, ...files });
  await new Promise<void>((resolve) => torrent.once("opened", resolve));
  let bytesPerSecond = 0.001;
  const pace = new RatePace(systemClock, () => bytesPerSecond);
  pace.took(1_000);
  const origin = new HttpOrigin({ url: seeder.url, failed: () => {} }, { nodeId: "node", fallback: "always" });
  onTestFinished(() => origin.close());
  const facts = { digest, sizeBytes: bytes.length, dataPath: `/images/${digest}/data` } as ImageFacts;
  const http = new HttpJoin({
    ...{ origin, facts, torrent, pace, fallback: "always", wantedAfterMs: 0 },
    ...{ clock: systemClock, random: Math.random, log: pino({ level: "silent" }) },
  });
  onTestFinished(() => http.leave());
  http.join("any");
  const arrived = new Promise<number>((resolve) => torrent.once("piece", resolve));
  torrent.want({ now: [5], ahead: [] });
  expect(await arrived).toBe(5);
  expect(seeder.offsets).toEqual([5 * pieceBytes]);
  const complete = new Promise<void>((resolve) => torrent.once("complete", resolve));
  bytesPerSecond = 0;
  await complete;
});
