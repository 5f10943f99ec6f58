import { messageOf, Problem } from "../../daemon/problem.ts";
import type { Torrent } from "../../swarm/torrent.ts";
import type { Endpoint, TorrentInfo } from "../../swarm/types.ts";
import { type BackoffLimits, backoffMs } from "../backoff.ts";
import { diskProblem } from "../cache/disk-space.ts";
import { imagePaths } from "../cache/layout.ts";
import type { ImageFacts } from "../cache/records.ts";
import { wait } from "../clock.ts";
import { magnetPeersFrom } from "../endpoint.ts";
import { HttpJoin, type HttpScope } from "./http-join.ts";
import type { WaitingPace } from "./pace.ts";
import { OriginBusy } from "./range-answer.ts";
import { RateMeter } from "./rate-meter.ts";
import { chooseSource, quietMsMax, type SourceChoice } from "./source-policy.ts";
import { blame, nextStallStep, type Stall } from "./stall-watchdog.ts";
import { type FetchTools, nothingArrives, type Transfer, type TransferProgress } from "./transfer.ts";

/** How often the choice of sources is looked at again. */
const lookIntervalMs = 250;
/**
 * Bytes from peers that count as delivery: about a piece. A swarm that trickles less than this within the time allowed
 * has stalled as much as one that gives nothing.
 */
const deliveryBytes = 256 * 1024;
/** Waits between requests for the torrent, where the origin does not say when. */
const torrentRetryLimits: BackoffLimits = { firstMs: 500, longestMs: 15_000 };

/** What HTTP brings beside the peers. */
const httpScopes: Partial<Record<SourceChoice, HttpScope>> = {
  "http-join": "any",
  "http-fill": "lacking",
  "http-demand": "wanted",
};

/**
 * Brings an image by its torrent: pieces from peers, and from HTTP too while the policy says so. A torrent that has come
 * to its end stays in the swarm and serves; one that has not is closed, and its verified pieces stay on disk.
 */
export class SwarmTransfer implements Transfer {
  readonly #tools: FetchTools;
  readonly #facts: ImageFacts;
  readonly #torrent: Torrent;
  readonly #startedMs: number;
  readonly #swarmRate = new RateMeter();
  readonly #httpRate = new RateMeter();
  readonly #http: HttpJoin;
  #peersMet = false;
  /** As of the last delivery worth the name. */
  #swarmBytes = 0;
  #swarmBytesAtMs: number;
  #anyBytes = 0;
  #anyBytesAtMs: number;
  /** Searches for peers since anything arrived. */
  #searches = 0;
  /** As of the last piece that was found good. */
  #doneBytes = 0;
  #doneBytesAtMs: number;
  #badPieces = 0;
  /** The request for the torrent is under way. */
  #askingTorrent = false;
  /** Why the origin's torrent is of no use. */
  #torrentRefusal: Problem | undefined;
  #torrentTrouble = "";

  /**
   * Adds the torrent to the swarm.
   *
   * @param info the torrent's info dictionary, where it is known from an earlier try
   */
  constructor(tools: FetchTools, facts: ImageFacts, info: TorrentInfo | undefined, pace: WaitingPace) {
    this.#tools = tools;
    this.#facts = facts;
    this.#startedMs = this.#swarmBytesAtMs = this.#anyBytesAtMs = this.#doneBytesAtMs = tools.clock.now();
    if (tools.swarm.get(facts.infohash)) {
      throw new Problem("data-loss", `the catalog gives image ${facts.digest} the torrent of another image`);
    }
    const { data, have } = imagePaths(tools.cache.layout, facts.digest);
    this.#torrent = tools.swarm.add({
      infohash: facts.infohash,
      ...(info && { info }),
      dataPath: data,
      havePath: have,
      expectedLengthBytes: facts.sizeBytes,
      peers: this.#knownPeers(),
      pace,
    });
    const { origin, clock, random, log, rules } = tools;
    const { fallback, demandPatienceMs: wantedAfterMs } = rules;
    const torrent = this.#torrent;
    this.#http = new HttpJoin({ origin, facts, torrent, pace, fallback, wantedAfterMs, clock, random, log });
  }

  /**
   * Runs until every piece is here, or until HTTP alone should go on.
   *
   * @throws Problem, or the signal's reason; the torrent is closed then.
   */
  async run(signal: AbortSignal): Promise<"complete" | "use-http"> {
    const ended = new AbortController();
    const leaveReaders = this.#tools.readers?.join(this.#facts.digest, this.#torrent);
    let isSound = true;
    try {
      const outcome = await Promise.race([
        this.#completion(),
        this.#supervise(AbortSignal.any([signal, ended.signal])),
      ]);
      // HTTP begins anew, in the same place.
      isSound = outcome === "complete";
      if (outcome === "use-http") await this.close();
      return outcome;
    } catch (error) {
      await this.close();
      throw error;
    } finally {
      leaveReaders?.(isSound && !this.#torrent.isInDoubt);
      ended.abort();
      this.#http.leave();
    }
  }

  /** Takes the torrent out of the swarm; its data stays. Never rejects. */
  async close(): Promise<void> {
    try {
      await this.#torrent.close();
    } catch (error) {
      // Such as a full disk: pieces that could not be recorded are hashed or fetched again.
      const fields = { digest: this.#facts.digest, error: messageOf(error) };
      this.#tools.log.warn(fields, "cannot record the last pieces of an image");
    }
  }

  progress(): TransferProgress {
    const { doneBytes, swarmBytes, sourceBytes, zeroBytes, peers } = this.#torrent.status();
    const quietMs = this.#tools.clock.now() - this.#anyBytesAtMs;
    const bytes = { doneBytes, swarmBytes, httpBytes: sourceBytes, zeroBytes };
    return { ...bytes, peers, quietMs, activity: this.#activity(peers) };
  }

  #completion(): Promise<"complete"> {
    return new Promise((resolve, reject) => {
      const { cache, log } = this.#tools;
      this.#torrent.on("info", (info) => {
        cache.keepMetainfo(this.#facts.digest, info).catch((error: unknown) => reject(this.#problem(error)));
      });
      this.#torrent.once("complete", () => resolve("complete"));
      // Stays for the torrent's life: an "error" that nobody listens to would end the process.
      this.#torrent.on("error", (error) => {
        log.warn({ digest: this.#facts.digest, error: error.message }, "torrent failed");
        reject(this.#problem(error));
      });
    });
  }

  /** Looks again and again at where the bytes should come from. */
  async #supervise(signal: AbortSignal): Promise<"use-http"> {
    const { clock, rules } = this.#tools;
    for (;;) {
      await wait(clock, lookIntervalMs, signal);
      const choice = this.#choose(clock.now());
      if (choice === "http-only") return "use-http";
      const scope = httpScopes[choice];
      if (scope) this.#http.join(scope);
      else this.#http.leave();
      if (choice === "http-torrent" && !this.#askingTorrent) void this.#askTorrent(signal);
      const { quietMs, peers, activity } = this.progress();
      const { refusal } = this.#http;
      const quietLimitMs = quietMsMax({ peers, peersMet: this.#peersMet, refusal: refusal?.kind }, rules);
      const stall = {
        quietMs,
        barrenMs: clock.now() - this.#doneBytesAtMs,
        badPieces: this.#torrent.status().verifyFailures - this.#badPieces,
        searches: this.#searches,
      };
      const step = nextStallStep(stall, quietLimitMs, rules.giveUpMs);
      if (step === "search") this.#search();
      if (step === "fail") throw this.#failure(stall, quietMs <= quietLimitMs, activity);
    }
  }

  /** What has been known of peers from the start, and what the seeder has told since. */
  #knownPeers(): Endpoint[] {
    return [...magnetPeersFrom(this.#facts.magnetUri), ...this.#tools.seederPeers()];
  }

  /** Looks for peers by every way at once. */
  #search(): void {
    this.#searches++;
    const { log } = this.#tools;
    log.debug({ digest: this.#facts.digest, searches: this.#searches }, "nothing arrives; looking for peers anew");
    for (const endpoint of this.#knownPeers()) this.#torrent.addPeer(endpoint, { isGiven: true });
    this.#torrent.announceSoon();
  }

  /** Asks the origin what the torrent's pieces are, until it says so or has nothing to say. Never rejects. */
  async #askTorrent(signal: AbortSignal): Promise<void> {
    this.#askingTorrent = true;
    const { clock, random, origin, log } = this.#tools;
    const { digest, infohash } = this.#facts;
    for (let attempt = 1; !signal.aborted && !this.#torrent.info; attempt++) {
      try {
        if (this.#torrent.takeInfo(await origin.torrent(this.#facts, signal))) {
          log.info({ digest, infohash }, "no peer has told what the torrent's pieces are; the seeder has, by HTTP");
          this.#torrentTrouble = "";
        } else {
          this.#torrentRefusal = new Problem("data-loss", `the seeder's torrent of image ${digest} is not ${infohash}`);
        }
        return;
      } catch (error) {
        if (signal.aborted) return;
        this.#torrentTrouble = messageOf(error);
        if (error instanceof Problem && error.kind !== "unavailable") {
          this.#torrentRefusal = error;
          return;
        }
        const retryAfterMs = error instanceof OriginBusy ? error.retryAfterMs * (1 + random() / 10) : 0;
        const delayMs = retryAfterMs || backoffMs(attempt, torrentRetryLimits, random);
        await wait(clock, delayMs, signal).catch(() => {});
      }
    }
  }

  /** Why the fetch is given up. */
  #failure(stall: Stall, isBarren: boolean, activity: string): Problem {
    const faults = blame(this.#torrent.badSenders);
    if (!isBarren) return nothingArrives(stall.quietMs, activity, this.#http.refusal, faults);
    const seconds = Math.round(stall.barrenMs / 1_000);
    const what = `nothing that is any good has arrived for ${seconds} s (${activity}); ${faults}`;
    return new Problem("unavailable", `${what}; what is here is kept; look at the disks and memory of those machines`);
  }

  #choose(nowMs: number) {
    const { peers, swarmBytes, sourceBytes, doneBytes, verifyFailures } = this.#torrent.status();
    this.#peersMet ||= peers > 0;
    if (doneBytes !== this.#doneBytes) {
      this.#doneBytes = doneBytes;
      this.#doneBytesAtMs = nowMs;
      this.#badPieces = verifyFailures;
    }
    if (swarmBytes - this.#swarmBytes >= deliveryBytes) {
      this.#swarmBytes = swarmBytes;
      this.#swarmBytesAtMs = nowMs;
    }
    if (swarmBytes + sourceBytes !== this.#anyBytes) {
      this.#anyBytesAtMs = nowMs;
      this.#searches = 0;
    }
    this.#anyBytes = swarmBytes + sourceBytes;
    this.#swarmRate.record(swarmBytes, nowMs);
    this.#httpRate.record(sourceBytes, nowMs);
    return chooseSource(
      {
        infoKnown: this.#torrent.info !== undefined,
        torrentRefused: this.#torrentRefusal !== undefined,
        peersMet: this.#peersMet,
        peersUseful: this.#torrent.isAnyPeerUseful,
        swarmQuietMs: nowMs - this.#swarmBytesAtMs,
        swarmBytesPerSecond: this.#swarmRate.rate(),
        httpBytesPerSecond: this.#httpRate.rate(),
        lackingPieces: this.#http.joined ? this.#torrent.lackingPieces : 0,
        httpJoined: this.#http.joined,
        demandWaitedMs: this.#demandWaitedMs(nowMs),
      },
      this.#tools.rules,
    );
  }

  #demandWaitedMs(nowMs: number): number {
    const sinceMs = this.#tools.readers?.waitingSinceMs(this.#facts.digest);
    return sinceMs === undefined ? 0 : Math.max(nowMs - sinceMs, 1);
  }

  #activity(peers: number): string {
    const { joined, isForReads, refusal, trouble } = this.#http;
    const from = `${peers} ${peers === 1 ? "peer" : "peers"}`;
    if (joined || refusal || (isForReads && trouble)) {
      if (trouble) return `${peers === 0 ? "no peers" : `fetching from ${from}`}; HTTP: ${trouble}`;
      return peers === 0 ? "no peers; joined by HTTP" : `fetching from ${from}, joined by HTTP`;
    }
    if (peers === 0) {
      const seconds = Math.round((this.#tools.clock.now() - this.#startedMs) / 1_000);
      const off = this.#tools.rules.fallback === "off" ? "; HTTP is switched off (fetch.fallback)" : "";
      const torrent = this.#torrentTrouble && `; asking for the torrent by HTTP: ${this.#torrentTrouble}`;
      return `looking for peers for ${seconds} s${off}${torrent}`;
    }
    if (!this.#torrent.info) return `asking ${from} for the torrent's metadata`;
    return `fetching from ${from}`;
  }

  #problem(error: unknown): Problem {
    const { directory } = imagePaths(this.#tools.cache.layout, this.#facts.digest);
    return torrentProblem(error, this.#facts, directory);
  }
}

/** What a torrent's error means for the image. */
function torrentProblem(error: unknown, facts: ImageFacts, directory: string): Problem {
  if (error instanceof Problem) return error;
  if ((error as NodeJS.ErrnoException).syscall !== undefined)
    return diskProblem(error, `image ${facts.digest}`, directory);
  return new Problem("data-loss", `the torrent ${facts.infohash} cannot be image ${facts.digest}`, { cause: error });
}
