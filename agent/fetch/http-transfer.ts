import { Problem } from "../../daemon/problem.ts";
import type { Disk, DiskFile } from "../../swarm/disk.ts";
import { writeSparsely } from "../../swarm/sparse-write.ts";
import type { TorrentInfo } from "../../swarm/types.ts";
import { type BackoffLimits, backoffMs } from "../backoff.ts";
import { diskProblem } from "../cache/disk-space.ts";
import { removeData } from "../cache/image-files.ts";
import { type ImagePaths, imagePaths } from "../cache/layout.ts";
import type { ImageFacts } from "../cache/records.ts";
import { wait } from "../clock.ts";
import { findTorrentInfo } from "../seeding/metadata-probe.ts";
import { gathered } from "./gather.ts";
import type { WaitingPace } from "./pace.ts";
import { OriginBusy } from "./range-answer.ts";
import { quietMsMax } from "./source-policy.ts";
import { type FetchTools, nothingArrives, type Transfer, type TransferProgress } from "./transfer.ts";

const retryLimits: BackoffLimits = { firstMs: 250, longestMs: 15_000 };

/** How often a transfer that is held back looks whether it still is. */
const paceStepMs = 100;

/** How an HTTP transfer ended. */
export type HttpOutcome =
  /** `resumed`: the bytes came in more than one piece, so an earlier one may be the fault of a wrong digest. */
  | { kind: "complete"; resumed: boolean }
  /** The torrent's info has been found: peers can go on from here. */
  | { kind: "use-swarm"; info: TorrentInfo };

/**
 * Brings an image by HTTP from its beginning: for an image without a magnet link, or while no peer tells what the
 * torrent's pieces are. The file's size says how far it is, so that a restart resumes there. Nothing of it is verified
 * before the whole is.
 */
export class HttpTransfer implements Transfer {
  readonly #tools: FetchTools;
  readonly #facts: ImageFacts;
  readonly #disk: Disk;
  readonly #paths: ImagePaths;
  readonly #pace: WaitingPace;
  #doneBytes = 0;
  #httpBytes = 0;
  #bytesAtMs: number;
  #resumed = false;
  #trouble = "";

  constructor(tools: FetchTools, facts: ImageFacts, pace: WaitingPace) {
    this.#tools = tools;
    this.#pace = pace;
    this.#facts = facts;
    this.#disk = tools.cache.layout.disk;
    this.#paths = imagePaths(tools.cache.layout, facts.digest);
    this.#bytesAtMs = tools.clock.now();
  }

  /** @throws Problem, or the signal's reason; what has arrived stays on disk. */
  async run(signal: AbortSignal): Promise<HttpOutcome> {
    const ended = new AbortController();
    const inner = AbortSignal.any([signal, ended.signal]);
    let found: TorrentInfo | undefined;
    const probing = this.#probe(inner).then((info) => {
      found = info;
      if (info) ended.abort(new Error("peers can go on"));
    });
    try {
      await this.#download(inner);
      return { kind: "complete", resumed: this.#resumed };
    } catch (error) {
      if (found && !signal.aborted) return { kind: "use-swarm", info: found };
      throw error;
    } finally {
      ended.abort(new Error("the download ended"));
      await probing;
    }
  }

  progress(): TransferProgress {
    const why = this.#facts.infohash === "" ? "the image has no magnet link" : "no peers found; still looking";
    return {
      doneBytes: this.#doneBytes,
      swarmBytes: 0,
      httpBytes: this.#httpBytes,
      zeroBytes: 0,
      peers: 0,
      quietMs: this.#tools.clock.now() - this.#bytesAtMs,
      activity: this.#trouble || `fetching by HTTP (${why})`,
    };
  }

  /** Looks for the torrent's info all the while, where there is a torrent. */
  async #probe(signal: AbortSignal): Promise<TorrentInfo | undefined> {
    if (this.#facts.infohash === "" || this.#facts.sizeBytes === 0) return undefined;
    const { swarm, cache, seederPeers, log } = this.#tools;
    try {
      return await findTorrentInfo({ swarm, seederPeers, layout: cache.layout }, this.#facts, signal);
    } catch (error) {
      if (!signal.aborted) log.warn({ digest: this.#facts.digest, error: String(error) }, "cannot use the torrent");
      return undefined;
    }
  }

  async #download(signal: AbortSignal): Promise<void> {
    const file = await this.#openFile();
    try {
      for (let failures = 0; this.#doneBytes < this.#facts.sizeBytes; ) {
        const before = this.#doneBytes;
        try {
          await this.#receive(file, signal);
        } catch (error) {
          if (signal.aborted) throw signal.reason;
          if (!(error instanceof Problem) || !this.#mayPass(error)) throw error;
          failures = this.#doneBytes > before ? 1 : failures + 1;
          await this.#pause(error, failures, signal);
        }
      }
    } finally {
      await file.close();
    }
  }

  /** Whether it makes sense to go on after an error. Peers may still be found for an image that the seeder has retired. */
  #mayPass(error: Problem): boolean {
    return error.kind === "unavailable" || (error.kind === "not-found" && this.#facts.infohash !== "");
  }

  /** The file with what an earlier try left, or empty if that was filled in another way. */
  async #openFile(): Promise<DiskFile> {
    this.#tools.readers?.doubt(this.#facts.digest);
    try {
      // Were it filled by pieces, its size would say nothing.
      const pieces = await this.#disk.open(this.#paths.have, "r").then(
        (handle) => handle.close().then(() => true),
        () => false,
      );
      if (pieces) await removeData(this.#disk, this.#paths);
      const file = await this.#disk.open(this.#paths.data, "r+").catch(() => this.#disk.open(this.#paths.data, "w+"));
      const { size } = await file.stat();
      if (size > this.#facts.sizeBytes) await file.truncate(0);
      else this.#doneBytes = size;
      this.#resumed = this.#doneBytes > 0;
      return file;
    } catch (error) {
      throw this.#diskProblem(error);
    }
  }

  /** Takes one response's bytes, from where the file ends. */
  async #receive(file: DiskFile, signal: AbortSignal): Promise<void> {
    const { sizeBytes, digest } = this.#facts;
    const { offset, chunks } = await this.#tools.origin.open(this.#facts, this.#doneBytes, undefined, signal);
    if (offset !== this.#doneBytes) {
      await file.truncate(0);
      this.#doneBytes = 0;
    }
    this.#trouble = "";
    for await (const chunk of gathered(chunks, this.#tools.clock)) {
      if (this.#doneBytes + chunk.length > sizeBytes) {
        throw new Problem(
          "data-loss",
          `the catalog says that image ${digest} has ${sizeBytes} bytes, but the origin sends more; publish the image again`,
        );
      }
      await this.#append(file, chunk);
      this.#pace.took(chunk.length);
      // In short steps: somebody may come to wait for the image.
      for (let waitMs = this.#pace.waitMs(); waitMs > 0; waitMs = this.#pace.waitMs()) {
        await wait(this.#tools.clock, Math.min(waitMs, paceStepMs), signal);
      }
    }
    if (this.#doneBytes < sizeBytes) throw new Problem("unavailable", "the origin ended the download early");
  }

  async #append(file: DiskFile, chunk: Uint8Array): Promise<void> {
    try {
      const end = this.#doneBytes + chunk.length;
      // The file's size says how far it is, holes included.
      if ((await writeSparsely(file, chunk, this.#doneBytes)) < end) await file.truncate(end);
    } catch (error) {
      throw this.#diskProblem(error);
    }
    this.#doneBytes += chunk.length;
    this.#httpBytes += chunk.length;
    this.#bytesAtMs = this.#tools.clock.now();
  }

  /** Waits before the next try, or gives up. */
  async #pause(error: Problem, failures: number, signal: AbortSignal): Promise<void> {
    const { clock, random, rules } = this.#tools;
    this.#resumed ||= this.#doneBytes > 0;
    const { quietMs } = this.progress();
    // Of an image that has gone from the seeder, only peers could tell: nobody waits for it longer than for peers.
    const refusal = error.kind === "not-found" ? error : undefined;
    const quietLimitMs = quietMsMax({ peers: 0, peersMet: false, refusal: refusal?.kind }, rules);
    if (quietMs > quietLimitMs) {
      const peers = this.#facts.infohash === "" ? "the image has no magnet link" : "no peers";
      throw nothingArrives(quietMs, `${peers}; HTTP: ${error.message}`, refusal);
    }
    // A seeder that says when has a place for this node then; others are asked less and less often.
    const retryAfterMs = error instanceof OriginBusy ? error.retryAfterMs * (1 + random() / 10) : 0;
    const delayMs = retryAfterMs || backoffMs(failures, retryLimits, random);
    this.#trouble = `waiting for the seeder's HTTP: ${error.message}`;
    await wait(clock, delayMs, signal);
  }

  #diskProblem(error: unknown): Problem {
    return diskProblem(error, `image ${this.#facts.digest}`, this.#paths.directory);
  }
}
