import type { Arrivals } from "./arrivals.ts";
import { pieceBytesOf } from "./metainfo.ts";
import type { PieceEvents } from "./piece-events.ts";
import type { PieceWork } from "./piece-work.ts";
import { type FeedTarget, SourceFeed } from "./source-feed.ts";
import type { Clock, PieceSource, SwarmLog, TorrentInfo } from "./types.ts";

export interface SourcesOptions extends Pick<PieceEvents, "onSourceError"> {
  info: TorrentInfo;
  work: PieceWork;
  arrivals: Arrivals;
  clock: Clock;
  log: SwarmLog;
}

/** The sources of one torrent's pieces beside its peers, such as HTTP. */
export class Sources implements FeedTarget {
  readonly #options: SourcesOptions;
  readonly #feeds = new Map<PieceSource, SourceFeed>();

  constructor(options: SourcesOptions) {
    this.#options = options;
  }

  add(source: PieceSource): void {
    const { work, clock } = this.#options;
    if (work.picker && !this.#feeds.has(source)) this.#feeds.set(source, new SourceFeed(source, this, clock));
  }

  remove(source: PieceSource): void {
    void this.#feeds.get(source)?.close();
    this.#feeds.delete(source);
  }

  /** Something is wanted that they may have. */
  wake(): void {
    for (const feed of this.#feeds.values()) feed.wake();
  }

  /** Ends the reads under way. */
  async close(): Promise<void> {
    await Promise.all([...this.#feeds.values()].map((feed) => feed.close()));
  }

  openPiece(feed: SourceFeed): { index: number; offset: number; length: number } | undefined {
    const { info, work } = this.#options;
    const { picker, buffers } = work;
    if (!picker) return undefined;
    const { source } = feed;
    let index = work.demand.forSource(picker, feed, source);
    if (!source.isForWantedOnly?.()) index ??= picker.pickPiece(feed, buffers.mayOpen, source.isForLackingOnly?.());
    if (index === undefined) return undefined;
    work.open(index);
    return { index, offset: index * info.pieceLengthBytes, length: pieceBytesOf(info, index) };
  }

  async deliverPiece(feed: SourceFeed, index: number, bytes: Uint8Array): Promise<boolean> {
    return this.#options.arrivals.takeWhole(feed, index, bytes);
  }

  abandonPiece(feed: SourceFeed, index: number): void {
    this.#options.work.picker?.forget(feed, index);
  }

  sourceFailed(source: PieceSource, error: Error): void {
    this.#options.log.debug({ source: source.name, error: error.message }, "source failed");
    this.#options.onSourceError(source, error);
  }
}
