/**
 * The rate to which what comes from peers is held. Connections are left unread while more has come than may, and none is
 * while somebody waits for a piece: then it is for the rest not to be asked for. All of it counts.
 */
import type { LastDemand } from "./demand.ts";
import { RateLimit } from "./rate.ts";
import type { Clock, Pace } from "./types.ts";

/** For how long after somebody waited for a piece no connection is left unread: the next wait is likely to be near. */
const demandMs = 1_000;
/** A connection that is left unread is looked at so often: somebody may have begun to wait for what it is about to bring. */
const lookMs = 50;
/** What was waited for may be many times the rate. The rest makes up for so much of it, and does not stand still for hours. */
const demandDebtSeconds = 1;

export class DownloadLimit implements Pace {
  readonly #limit: RateLimit;
  readonly #debtBytesMax: number;
  readonly #clock: Clock;
  readonly #lastDemand: LastDemand;

  /** `bytesPerSecond` 0 is no limit. */
  constructor(bytesPerSecond: number, clock: Clock, lastDemand: LastDemand) {
    this.#limit = new RateLimit(bytesPerSecond, clock.now());
    this.#debtBytesMax = bytesPerSecond * demandDebtSeconds;
    this.#clock = clock;
    this.#lastDemand = lastDemand;
  }

  /** So many bytes have come. */
  received(bytes: number): void {
    this.#limit.take(bytes, this.#clock.now(), this.#isDemanding ? this.#debtBytesMax : undefined);
  }

  /** Milliseconds for which a connection is to be left unread before this is asked again; 0 if it may be read. */
  restMs(): number {
    return this.#isDemanding ? 0 : Math.min(this.#limit.waitMs(this.#clock.now()), lookMs);
  }

  /** Whether anything may be asked for that nobody waits for. While connections are left unread it is they that hold back. */
  roomBytes(): number {
    const isHeldBack = this.#isDemanding && this.#limit.waitMs(this.#clock.now()) > 0;
    return isHeldBack ? 0 : Number.POSITIVE_INFINITY;
  }

  /** Bytes count when they come. */
  took(): void {}

  get #isDemanding(): boolean {
    return this.#clock.now() - this.#lastDemand.atMs < demandMs;
  }
}
