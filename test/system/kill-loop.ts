/**
 * An agent as a process that is killed with SIGKILL at random moments, again and again: while it starts, fetches, checks
 * the sha256, is done, or removes what it has.
 */
import { randomInt } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { FetchState } from "../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import type { Image } from "../../proto/gen/bootswarm/image/v1/image_pb.js";
import { contentFrom } from "../../swarm/have-file.ts";
import { fetchOf, metric, publish, spawnDaemon, startAgent, startSeeder, type TestAgent } from "../fixtures/daemons.ts";
import { makeRandomFile, sha256Of } from "../fixtures/disks.ts";

const mebibyte = 1024 * 1024;
export const imageMiB = 24;
/** So that a fetch takes some seconds, and most kills strike it. */
const seederBytesPerSecond = 12 * mebibyte;
/** From the agent's answering to the kill, at most. */
const killAfterMsMax = 2_500;
/** One kill of so many strikes an agent that is only starting. */
const startingKillsEvery = 6;

export interface KillReport {
  kills: number;
  /** Of them, those while bytes were arriving; before the agent listened; and after the image was ready. */
  killsWhileFetching: number;
  killsWhileStarting: number;
  killsWhenReady: number;
  /** Images that came whole and had the right sha256. */
  images: number;
  /** Fetches that ended otherwise, and files that were wrong. */
  faults: string[];
  pieceBytes: number;
  receivedBytes: number;
  /** Received beyond each image's size. */
  twiceBytes: number;
  /** Verified pieces that a kill cost: all together, and most at once. */
  piecesLost: number;
  piecesLostMax: number;
}

/** Kills an agent so many times; after each kill the fetch goes on, and each image that comes is compared. */
export async function killAgain(directory: string, kills: number, onKill: (report: KillReport) => void = () => {}) {
  const limit = { "swarm.uploadBytesPerSecondMax": seederBytesPerSecond };
  const seeder = await startSeeder(join(directory, "seeder"), limit);
  const image = await publish(seeder, await makeRandomFile(directory, "image", imageMiB), "image");
  const loop = new KillLoop(seeder.url, join(directory, "node"), image);
  while (loop.report.kills < kills) {
    await loop.liveAndDie();
    onKill(loop.report);
  }
  await loop.finish();
  return loop.report;
}

class KillLoop {
  readonly report: KillReport;
  readonly #seederUrl: string;
  readonly #state: string;
  readonly #image: Image;
  /** Bytes that came for the image at hand, by processes that are dead. */
  #receivedBytes = 0;
  /** What the living process had received when the image at hand was begun. */
  #receivedBefore = 0;

  constructor(seederUrl: string, state: string, image: Image) {
    this.#seederUrl = seederUrl;
    this.#state = state;
    this.#image = image;
    this.report = {
      ...{ kills: 0, killsWhileFetching: 0, killsWhileStarting: 0, killsWhenReady: 0, images: 0, faults: [] },
      ...{ pieceBytes: image.pieceLengthBytes, receivedBytes: 0, twiceBytes: 0, piecesLost: 0, piecesLostMax: 0 },
    };
  }

  /** One life of the agent. */
  async liveAndDie(): Promise<void> {
    if (randomInt(startingKillsEvery) === 0) return this.#dieStarting();
    const agent = await this.#start();
    const killed = after(randomInt(killAfterMsMax));
    for (let isDying = false; !isDying; ) {
      const done = this.#ensure(agent);
      isDying = await Promise.race([done.then(() => false), killed.then(() => true)]);
      if (!isDying) await this.#compare(agent);
      // A fifth of them die holding the image, and are to hold it after.
      if (!isDying && randomInt(5) > 0) await this.#beginAnew(agent);
      else if (!isDying) {
        await killed;
        isDying = true;
      }
      // The call may end with the process.
      done.catch(() => {});
    }
    await this.#kill(agent);
  }

  /** A last life, which nobody ends. */
  async finish(): Promise<void> {
    const agent = await this.#start();
    await this.#ensure(agent);
    await this.#compare(agent);
    await agent.process.kill("SIGTERM");
  }

  async #start(): Promise<TestAgent> {
    this.#receivedBefore = 0;
    return startAgent(this.#seederUrl, this.#state);
  }

  async #dieStarting(): Promise<void> {
    const settings = { "seeder.url": this.#seederUrl, stateDirectory: this.#state, name: "agent" };
    const starting = spawnDaemon("agent", settings);
    await after(randomInt(1_000));
    await starting.kill("SIGKILL");
    this.report.kills++;
    this.report.killsWhileStarting++;
  }

  /** Rejects if the process dies first. */
  async #ensure(agent: TestAgent): Promise<void> {
    const { digest } = this.#image;
    let error: string | undefined;
    for await (const { fetch } of agent.service.ensureImage({ image: digest })) {
      const isOver = fetch?.state === FetchState.FAILED || fetch?.state === FetchState.CANCELLED;
      error = isOver ? fetch.error : undefined;
    }
    if (error !== undefined) this.report.faults.push(`a fetch ended with: ${error}`);
  }

  /** Looks at an image that is ready. */
  async #compare(agent: TestAgent): Promise<void> {
    const { digest, sizeBytes } = this.#image;
    const found = await sha256Of(this.#file("data"));
    if (found !== digest) this.report.faults.push(`a ready image has sha256 ${found} instead of ${digest}`);
    const received = this.#receivedBytes + (await this.#receivedNow(agent));
    if (received === 0) return;
    this.report.images++;
    this.report.receivedBytes += received;
    this.report.twiceBytes += received - Number(sizeBytes);
    this.#receivedBytes = 0;
    this.#receivedBefore += await this.#receivedNow(agent);
  }

  async #beginAnew(agent: TestAgent): Promise<void> {
    await agent.service.removeImage({ image: this.#image.digest });
  }

  async #kill(agent: TestAgent): Promise<void> {
    const fetch = await fetchOf(agent, this.#image.digest);
    const received = await this.#receivedNow(agent);
    await agent.process.kill("SIGKILL");
    this.report.kills++;
    this.#receivedBytes += received;
    if (fetch?.state !== FetchState.ACTIVE) {
      this.report.killsWhenReady++;
      return;
    }
    this.report.killsWhileFetching++;
    const lost = Math.max(0, Math.ceil(Number(fetch.doneBytes) / this.report.pieceBytes) - (await this.#piecesKept()));
    this.report.piecesLost += lost;
    this.report.piecesLostMax = Math.max(this.report.piecesLostMax, lost);
  }

  async #receivedNow(agent: TestAgent): Promise<number> {
    const [bySwarm, byHttp] = await Promise.all(
      ["swarm", "http"].map((source) => metric(agent, `bootswarm_agent_received_bytes_total{source="${source}"}`)),
    );
    return (bySwarm as number) + (byHttp as number) - this.#receivedBefore;
  }

  /** Pieces that the next start will believe, or look at. */
  async #piecesKept(): Promise<number> {
    const pieceCount = Math.ceil(Number(this.#image.sizeBytes) / this.#image.pieceLengthBytes);
    const bytes = await readFile(this.#file("have")).catch(() => Buffer.alloc(0));
    const { slots, written } = contentFrom(bytes, { infohash: this.#image.infohash, pieceCount });
    const newest = slots.filter((slot) => slot !== undefined).sort((a, b) => b.generation - a.generation)[0];
    let kept = 0;
    for (let index = 0; index < pieceCount; index++) if (written.has(index) || newest?.have.has(index)) kept++;
    return kept;
  }

  #file(name: string): string {
    return join(this.#state, "images", this.#image.digest, name);
  }
}

function after(delayMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, delayMs));
}
