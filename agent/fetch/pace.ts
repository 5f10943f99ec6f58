/**
 * How fast images are fetched that can wait. Those brought ahead of need come at the operator's rate while the link has
 * nothing better to do, and at next to nothing while somebody waits for another image; so does the rest of an image while a
 * VM boots from what is here of it. The connections stay, so that it goes on at once.
 */
import { RateLimit } from "../../swarm/rate.ts";
import type { Clock, Pace } from "../../swarm/types.ts";

/**
 * What is left to all prefetches together while others are active, and to an image that a VM boots: a thousandth of a
 * gigabit link, and enough for a transfer not to look dead.
 */
export const trickleBytesPerSecond = 128 * 1024;
/** What may come at once, in seconds: torrents look for what to ask for four times a second. */
const burstSeconds = 0.5;

/** A limit on a rate which may change, as a pace. */
export class RatePace implements WaitingPace {
  readonly #clock: Clock;
  readonly #limit: RateLimit;

  /** @param bytesPerSecond as of now; 0 is no limit */
  constructor(clock: Clock, bytesPerSecond: () => number) {
    this.#clock = clock;
    this.#limit = new RateLimit(bytesPerSecond, clock.now(), burstSeconds);
  }

  roomBytes(): number {
    return this.#limit.roomBytes(this.#clock.now());
  }

  took(bytes: number): void {
    this.#limit.take(bytes, this.#clock.now());
  }

  waitMs(): number {
    return this.#limit.waitMs(this.#clock.now());
  }
}

/** A pace that can be waited for. */
export interface WaitingPace extends Pace {
  /** Milliseconds until anything may be asked for; 0 if now. */
  waitMs(): number;
}

/** Several paces at once, for as long as `isBound` says so; no bound otherwise. */
export class FetchPace implements WaitingPace {
  readonly #paces: readonly WaitingPace[];
  readonly #isBound: () => boolean;

  constructor(paces: readonly WaitingPace[], isBound: () => boolean) {
    this.#paces = paces;
    this.#isBound = isBound;
  }

  roomBytes(): number {
    if (!this.#isBound()) return Number.POSITIVE_INFINITY;
    return Math.min(...this.#paces.map((pace) => pace.roomBytes()));
  }

  took(bytes: number): void {
    if (this.#isBound()) for (const pace of this.#paces) pace.took(bytes);
  }

  waitMs(): number {
    return this.#isBound() ? Math.max(...this.#paces.map((pace) => pace.waitMs())) : 0;
  }
}
