import type { Log } from "../../daemon/log.ts";
import { Problem } from "../../daemon/problem.ts";
import { SourceRejected } from "../../swarm/source-feed.ts";
import type { Torrent } from "../../swarm/torrent.ts";
import type { Clock, PieceSource } from "../../swarm/types.ts";
import type { ImageFacts } from "../cache/records.ts";
import type { HttpOrigin } from "./http-origin.ts";
import type { WaitingPace } from "./pace.ts";
import { OriginBusy } from "./range-answer.ts";
import type { FallbackMode } from "./source-policy.ts";

/**
 * Ranges under way at once: enough to hide a round trip, few enough to leave the origin to other nodes; in a budget, each
 * takes a slot.
 */
const requestsMax = 4;
const requestsMaxBudgeted = 2;
/** Nodes that were told the same time come back within this part of it after it. */
const jitterShare = 0.1;

/** What HTTP brings: any piece, those that no connected peer has, or those that reads have waited for. */
export type HttpScope = "any" | "lacking" | "wanted";

/** The origin as one more source of a torrent's pieces, while it is wanted and until it refuses. */
export class HttpJoin {
  readonly #origin: HttpOrigin;
  readonly #facts: ImageFacts;
  readonly #torrent: Torrent;
  readonly #pace: WaitingPace;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #random: () => number;
  readonly #requestsMax: number;
  #scope: HttpScope = "any";
  readonly #wantedAfterMs: number;
  #leave: (() => void) | undefined;
  #trouble = "";
  #warned = false;
  #refusal: Problem | undefined;
  #busyUntilMs = 0;

  constructor(options: {
    origin: HttpOrigin;
    facts: ImageFacts;
    torrent: Torrent;
    pace: WaitingPace;
    fallback: FallbackMode;
    /** How long a read waits for peers before the origin is asked. */
    wantedAfterMs: number;
    clock: Clock;
    random: () => number;
    log: Log;
  }) {
    this.#random = options.random;
    this.#requestsMax = options.fallback === "always" ? requestsMax : requestsMaxBudgeted;
    this.#wantedAfterMs = options.wantedAfterMs;
    this.#origin = options.origin;
    this.#facts = options.facts;
    this.#torrent = options.torrent;
    this.#pace = options.pace;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#torrent.on("sourceError", (_source, error) => this.#failed(error));
  }

  /** Whether the torrent takes pieces from the origin now, not only those that reads wait for. */
  get joined(): boolean {
    return this.#leave !== undefined && this.#scope !== "wanted";
  }

  /** Whether it takes those only. */
  get isForReads(): boolean {
    return this.#leave !== undefined && this.#scope === "wanted";
  }

  /** Why the last range asked for did not come; empty if it did. */
  get trouble(): string {
    return this.#trouble;
  }

  /** An answer that asking again would not change: no such image, or another one. The origin is not asked any more. */
  get refusal(): Problem | undefined {
    return this.#refusal;
  }

  join(scope: HttpScope): void {
    if (this.#refusal) return;
    this.#scope = scope;
    this.#leave ??= this.#torrent.addSource(this.#source());
  }

  leave(): void {
    this.#leave?.();
    this.#leave = undefined;
  }

  #source(): PieceSource {
    return {
      name: this.#origin.urlOf(this.#facts),
      requestsMax: this.#requestsMax,
      readyInMs: () => Math.max(0, this.#busyUntilMs - this.#clock.now()),
      wantedAfterMs: this.#wantedAfterMs,
      // Whatever is held back, and for how long it was to be: a read that waits is not.
      isForWantedOnly: () => this.#scope === "wanted" || this.#pace.waitMs() > 0,
      isForLackingOnly: () => this.#scope === "lacking",
      read: (offset, length, signal) => this.#read(offset, length, signal),
    };
  }

  async #read(offset: number, length: number, signal: AbortSignal): Promise<Uint8Array> {
    this.#pace.took(length);
    const bytes = await this.#origin.read(this.#facts, offset, length, signal);
    this.#trouble = "";
    return bytes;
  }

  #failed(error: Error): void {
    if (this.#refusal) return;
    this.#trouble = error.message;
    const fields = { digest: this.#facts.digest, error: error.message };
    this.#refusal = refusalIn(error);
    if (this.#refusal) {
      this.leave();
      this.#log.warn(fields, "the seeder's HTTP cannot help to fetch an image");
      return;
    }
    if (error instanceof OriginBusy) {
      const waitMs = error.retryAfterMs * (1 + this.#random() * jitterShare);
      this.#busyUntilMs = Math.max(this.#busyUntilMs, this.#clock.now() + waitMs);
    }
    if (!this.#warned) this.#log.warn(fields, "the seeder's HTTP does not help to fetch an image yet; asking again");
    this.#warned = true;
  }
}

/** The error as one that asking again would not mend, if it is one. */
function refusalIn(error: Error): Problem | undefined {
  if (error instanceof SourceRejected) return new Problem("data-loss", error.message);
  const isFinal = error instanceof Problem && (error.kind === "not-found" || error.kind === "data-loss");
  return isFinal ? error : undefined;
}
