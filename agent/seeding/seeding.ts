import type { Log } from "../../daemon/log.ts";
import { messageOf } from "../../daemon/problem.ts";
import type { Swarm } from "../../swarm/swarm.ts";
import type { Clock, Endpoint, TorrentInfo } from "../../swarm/types.ts";
import type { CacheEntry, ImageCache } from "../cache/image-cache.ts";
import { factsOf } from "../cache/records.ts";
import { firstBadPiece } from "../hash-file.ts";
import { findTorrentInfo } from "./metadata-probe.ts";

/**
 * How many images are on their way into the swarm at the same time. Those whose info dictionary is kept have only files to
 * open, and do not wait for those whose torrent has to be looked for and hashed, each of which keeps a disk busy.
 */
const joiningMax = { kept: 16, looking: 2 };
type Lane = keyof typeof joiningMax;
/** How long to look for a torrent's info dictionary before others have their turn, and how long until it is tried again. */
const probeTimeoutMs = 30_000;
const probeAgainMs = 60_000;

export interface SeedingOptions {
  cache: ImageCache;
  swarm: Swarm;
  seederPeers: () => Endpoint[];
  clock: Clock;
  log: Log;
}

/**
 * Serves every complete image that has a torrent. One whose info dictionary is kept is served as it is, without hashing.
 * One that came by HTTP has to find it first, and is hashed once: what was promised to peers must be what they get.
 */
export class Seeding {
  readonly #options: SeedingOptions;
  readonly #waiting: Record<Lane, Set<string>> = { kept: new Set(), looking: new Set() };
  readonly #joining = new Map<string, { lane: Lane; abort: AbortController; ended: Promise<void> }>();
  readonly #retries = new Map<string, () => void>();
  #closed = false;

  constructor(options: SeedingOptions) {
    this.#options = options;
  }

  /** Sees to it that a complete image is served, now or as soon as its torrent is found. */
  consider(digest: string): void {
    if (this.#closed || this.#joining.has(digest)) return;
    this.#waiting.kept.add(digest);
    this.#next("kept");
  }

  /** Stops serving an image, so that it can be removed. */
  async stop(digest: string): Promise<void> {
    for (const waiting of Object.values(this.#waiting)) waiting.delete(digest);
    this.#retries.get(digest)?.();
    this.#retries.delete(digest);
    const joining = this.#joining.get(digest);
    joining?.abort.abort(new Error("the image is being removed"));
    await joining?.ended;
    const infohash = this.#options.cache.get(digest)?.record.infohash;
    if (infohash) await this.#options.swarm.get(infohash)?.close();
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const waiting of Object.values(this.#waiting)) waiting.clear();
    for (const cancel of this.#retries.values()) cancel();
    for (const { abort } of this.#joining.values()) abort.abort(new Error("the agent is stopping"));
    await Promise.all([...this.#joining.values()].map(({ ended }) => ended));
  }

  #next(lane: Lane): void {
    for (const digest of this.#waiting[lane]) {
      const joining = [...this.#joining.values()].filter((other) => other.lane === lane);
      if (joining.length >= joiningMax[lane]) return;
      this.#waiting[lane].delete(digest);
      const abort = new AbortController();
      const ended = this.#join(digest, lane, abort.signal).finally(() => {
        this.#joining.delete(digest);
        if (this.#closed) return;
        this.#next("kept");
        this.#next("looking");
      });
      this.#joining.set(digest, { lane, abort, ended });
    }
  }

  /** Never rejects. */
  async #join(digest: string, lane: Lane, signal: AbortSignal): Promise<void> {
    const { cache, swarm, log } = this.#options;
    const entry = cache.get(digest);
    // An empty image has nothing to serve.
    if (!entry?.complete || entry.record.infohash === "" || entry.record.sizeBytes === 0) return;
    if (swarm.get(entry.record.infohash)) return;
    try {
      const kept = await cache.metainfo(digest);
      if (!kept && lane === "kept" && !signal.aborted) {
        this.#waiting.looking.add(digest);
        return;
      }
      const info = kept ?? (await this.#findAndCheck(entry, signal));
      if (!info || signal.aborted) return;
      const torrent = swarm.add({
        infohash: info.infohash,
        info,
        dataPath: entry.paths.data,
        complete: true,
        peers: this.#options.seederPeers(),
      });
      torrent.on("error", (error) => log.error({ digest, error: error.message }, "cannot serve an image any more"));
      log.debug({ digest, infohash: info.infohash }, "serving an image to peers");
    } catch (error) {
      if (signal.aborted) return;
      log.warn({ digest, error: messageOf(error) }, "cannot serve an image to peers yet");
      this.#retryLater(digest);
    }
  }

  /** Finds the torrent's info and compares the image with it. Undefined if they do not fit: then it is never served. */
  async #findAndCheck(entry: CacheEntry, signal: AbortSignal): Promise<TorrentInfo | undefined> {
    const { cache, swarm, seederPeers, clock, log } = this.#options;
    const { digest, infohash } = entry.record;
    const timeout = new AbortController();
    const cancel = clock.after(probeTimeoutMs, () => timeout.abort(new Error("no peer told the torrent's metadata")));
    let info: TorrentInfo;
    try {
      const limited = AbortSignal.any([signal, timeout.signal]);
      const tools = { swarm, seederPeers, layout: cache.layout };
      info = await findTorrentInfo(tools, factsOf(entry.record), limited);
    } finally {
      cancel();
    }
    const bad = await firstBadPiece(cache.layout.disk, entry.paths.data, info, signal);
    if (bad !== undefined) {
      log.error(
        { digest, infohash, piece: bad },
        "the catalog's torrent is not of this image; it is not served to peers",
      );
      return undefined;
    }
    await cache.keepMetainfo(digest, info);
    return info;
  }

  #retryLater(digest: string): void {
    if (this.#closed) return;
    this.#retries.get(digest)?.();
    const cancel = this.#options.clock.after(probeAgainMs, () => {
      this.#retries.delete(digest);
      this.consider(digest);
    });
    this.#retries.set(digest, cancel);
  }
}
