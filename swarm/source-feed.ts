/** Pulls whole pieces from a non-peer source, as many at once as the source allows, until it is taken away. */
import type { Peer } from "./peer.ts";
import type { Clock, PieceSource } from "./types.ts";

/** Whoever pieces are asked of. */
export type Requester = Peer | SourceFeed;

/** Waits after failures in a row: doubled from the first to the last. */
const retryMsMin = 500;
const retryMsMax = 15_000;
/** How often an idle feed looks whether there is something to fetch again. */
const idleMs = 250;
/** A source that sent this many pieces that failed their hash is not asked any more. */
const badPiecesMax = 3;

/** A source that is not asked any more, for what it gave before. */
export class SourceRejected extends Error {}

/** What the torrent offers a feed. The feed is a requester of the picker like a peer. */
export interface FeedTarget {
  /** A piece to read, opened for this feed, or undefined if there is none now. */
  openPiece(feed: SourceFeed): { index: number; offset: number; length: number } | undefined;
  /** The piece's bytes; false if they fail the piece's hash. */
  deliverPiece(feed: SourceFeed, index: number, bytes: Uint8Array): Promise<boolean>;
  /** The piece could not be read. */
  abandonPiece(feed: SourceFeed, index: number): void;
  sourceFailed(source: PieceSource, error: Error): void;
}

export class SourceFeed {
  readonly source: PieceSource;
  readonly #target: FeedTarget;
  readonly #clock: Clock;
  readonly #abort = new AbortController();
  readonly #running: Promise<unknown>;
  readonly #idle = new Set<() => void>();
  #failures = 0;
  #badPieces = 0;

  constructor(source: PieceSource, target: FeedTarget, clock: Clock) {
    this.source = source;
    this.#target = target;
    this.#clock = clock;
    this.#running = Promise.all(Array.from({ length: source.requestsMax }, () => this.#pull()));
  }

  /** There may be something to fetch: a pull that found nothing looks again. */
  wake(): void {
    for (const look of [...this.#idle]) look();
  }

  /** Ends the reads under way; their pieces are given back. */
  async close(): Promise<void> {
    this.#abort.abort(new Error("the source was taken away"));
    await this.#running;
  }

  async #pull(): Promise<void> {
    const { signal } = this.#abort;
    while (!signal.aborted && this.#badPieces < badPiecesMax) {
      const readyInMs = this.source.readyInMs?.() ?? 0;
      const piece = readyInMs > 0 ? undefined : this.#target.openPiece(this);
      const waitMs = piece ? await this.#read(piece) : readyInMs || idleMs;
      if (waitMs > 0) await this.#wait(waitMs, piece === undefined && readyInMs === 0);
    }
  }

  /** Reads one piece; says how long to wait before the next. */
  async #read(piece: { index: number; offset: number; length: number }): Promise<number> {
    try {
      const bytes = await this.source.read(piece.offset, piece.length, this.#abort.signal);
      if (bytes.length !== piece.length) throw new Error(`gave ${bytes.length} bytes for ${piece.length}`);
      this.#failures = 0;
      if (!(await this.#target.deliverPiece(this, piece.index, bytes))) this.#countBadPiece();
      return 0;
    } catch (error) {
      this.#target.abandonPiece(this, piece.index);
      if (this.#abort.signal.aborted) return 0;
      this.#target.sourceFailed(this.source, error as Error);
      // It has said when to come back, which is no failure.
      if ((this.source.readyInMs?.() ?? 0) > 0) return 0;
      this.#failures++;
      return Math.min(retryMsMin * 2 ** (this.#failures - 1), retryMsMax);
    }
  }

  #countBadPiece(): void {
    this.#badPieces++;
    if (this.#badPieces !== badPiecesMax) return;
    const fault = `${badPiecesMax} pieces of ${this.source.name} failed their hash; it is not asked any more`;
    this.#target.sourceFailed(this.source, new SourceRejected(fault));
  }

  #wait(delayMs: number, isIdle: boolean): Promise<void> {
    const { signal } = this.#abort;
    return new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const end = () => {
        cancel();
        signal.removeEventListener("abort", end);
        this.#idle.delete(end);
        resolve();
      };
      const cancel = this.#clock.after(delayMs, end);
      signal.addEventListener("abort", end, { once: true });
      if (isIdle) this.#idle.add(end);
    });
  }
}
