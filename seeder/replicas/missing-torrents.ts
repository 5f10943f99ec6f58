/** Torrents of images whose bytes are here: another seeder has made them after the images came. */
import type { Log } from "../../daemon/log.ts";
import { messageOf, Problem } from "../../daemon/problem.ts";
import type { TorrentInfo } from "../../swarm/types.ts";
import type { Image } from "../catalog/image.ts";

/** How long one that could not be had is left alone. */
const retryMs = 30_000;

export interface MissingTorrentsOptions {
  /** Whether an image's bytes are here, and its torrent is not served. */
  lacksTorrent: (image: Image) => boolean;
  /** The image's torrent, from a seeder that has it. */
  fetch: (image: Image, signal: AbortSignal) => Promise<TorrentInfo>;
  /** The torrent as the bytes here make it, by reading all of them. */
  make: (image: Image) => Promise<TorrentInfo>;
  adopt: (image: Image, info: TorrentInfo) => Promise<void>;
  nowMs: () => number;
  log: Log;
}

export class MissingTorrents {
  readonly #options: MissingTorrentsOptions;
  readonly #notBeforeMs = new Map<string, number>();
  #isBringing = false;
  #bringing: Promise<void> = Promise.resolve();

  constructor(options: MissingTorrentsOptions) {
    this.#options = options;
  }

  /** Begins to bring the torrents that are missing here, one after the other, unless that is being done. */
  begin(images: readonly Image[], signal: AbortSignal): void {
    if (this.#isBringing) return;
    this.#isBringing = true;
    this.#bringing = this.#bring(images, signal).finally(() => {
      this.#isBringing = false;
    });
  }

  /** Resolves when nothing is under way, after the signal given has aborted. */
  async ended(): Promise<void> {
    await this.#bringing;
  }

  /** Never rejects. */
  async #bring(images: readonly Image[], signal: AbortSignal): Promise<void> {
    const { lacksTorrent, adopt, nowMs, log } = this.#options;
    for (const image of images) {
      if (!image.torrent || !lacksTorrent(image) || signal.aborted) continue;
      if ((this.#notBeforeMs.get(image.digest) ?? 0) > nowMs()) continue;
      try {
        await adopt(image, await this.#infoOf(image, image.torrent.infohash, signal));
        this.#notBeforeMs.delete(image.digest);
      } catch (error) {
        if (signal.aborted) return;
        this.#notBeforeMs.set(image.digest, nowMs() + retryMs);
        log.warn({ digest: image.digest, error: messageOf(error) }, "cannot have an image's torrent; trying again");
      }
    }
  }

  async #infoOf(image: Image, infohash: string, signal: AbortSignal): Promise<TorrentInfo> {
    try {
      return await this.#options.fetch(image, signal);
    } catch {
      signal.throwIfAborted();
    }
    const made = await this.#options.make(image);
    if (made.infohash === infohash) return made;
    throw new Problem("unavailable", `no live seeder has it, and made anew it is another, ${made.infohash}`);
  }
}
