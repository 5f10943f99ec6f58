import type { Log } from "../../daemon/log.ts";
import { messageOf, Problem } from "../../daemon/problem.ts";
import type { Serial } from "../../daemon/serial.ts";
import type { Clock } from "../../swarm/types.ts";
import type { Claim, Space } from "../space.ts";
import type { Fetch } from "./fetch.ts";
import { hasEnded } from "./fetch-view.ts";
import { comparePriorities } from "./queue.ts";

/** How often fetches that wait for space look for it: what other programs free is not announced. */
const intervalMs = 2_000;

export interface SpaceWaitsOptions {
  space: Pick<Space, "admit">;
  /** What room all fetches take, and what is promised to them. */
  claims: () => Claim[];
  /** Admits and removes one image at a time. */
  changing: Serial;
  /** Told of a fetch that waited and has room now. */
  onAdmitted: (fetch: Fetch) => void;
  /** Told when all that wait have been looked at. */
  onLooked: () => void;
  clock: Clock;
  log: Log;
}

/**
 * The fetches that there is no room on the disk for: those that wait for it before they are queued, and those that had
 * begun when the disk was full.
 */
export class SpaceWaits {
  readonly #options: SpaceWaitsOptions;
  /** In order of asking. */
  readonly #waiting = new Set<Fetch>();
  readonly #displaced = new Set<Fetch>();
  #cancelTick: (() => void) | undefined;
  #closed = false;

  constructor(options: SpaceWaitsOptions) {
    this.#options = options;
  }

  /** Those that wait before they are queued, in order of asking. */
  get waiting(): Fetch[] {
    return [...this.#waiting];
  }

  get waitingCount(): number {
    return this.#waiting.size;
  }

  /** Whether room is promised to a fetch. */
  isAdmitted(fetch: Fetch): boolean {
    return !this.#waiting.has(fetch) && !this.#displaced.has(fetch);
  }

  /** @param problem why there is no room now */
  add(fetch: Fetch, problem: Problem): void {
    const { clock, log } = this.#options;
    if (!this.#waiting.has(fetch)) {
      log.warn({ digest: fetch.digest, error: problem.message }, "a fetch waits for room on the disk");
    }
    this.#waiting.add(fetch);
    fetch.delay(`waiting for room on the disk: ${problem.message}`);
    this.#cancelTick ??= clock.after(intervalMs, () => {
      this.#cancelTick = undefined;
      void this.look();
    });
  }

  /** The disk was too full for a fetch that had begun: what was promised to it is no longer. */
  displace(fetch: Fetch): void {
    this.#displaced.add(fetch);
  }

  /** A fetch waits no more, for whatever reason. */
  remove(fetch: Fetch): void {
    this.#waiting.delete(fetch);
    this.#displaced.delete(fetch);
  }

  /** Finds room for a fetch that the disk was too full for; the Problem if there is none yet. */
  readmit(fetch: Fetch): Promise<Problem | undefined> {
    return this.#options.changing.run(async () => {
      // Nothing is evicted for a fetch that has been cancelled while others had their turn.
      if (hasEnded(fetch.state)) return undefined;
      const full = await this.#admit(fetch);
      // Before anybody else is admitted.
      if (!full) this.#displaced.delete(fetch);
      return full;
    });
  }

  /** Admits those that wait and have room now: the most urgent first, and whoever fits. Never rejects. */
  look(): Promise<void> {
    if (this.#waiting.size === 0) return Promise.resolve();
    return this.#options.changing.run(async () => {
      for (const fetch of this.waiting.sort((a, b) => comparePriorities(a.priority, b.priority))) {
        if (this.#closed) return;
        const full = await this.#admit(fetch);
        // It may have been cancelled meanwhile.
        if (!this.#waiting.has(fetch)) continue;
        if (full) {
          this.add(fetch, full);
          continue;
        }
        this.#waiting.delete(fetch);
        fetch.delay("");
        this.#options.onAdmitted(fetch);
      }
      this.#options.onLooked();
    });
  }

  close(): void {
    this.#closed = true;
    this.#cancelTick?.();
  }

  async #admit(fetch: Fetch): Promise<Problem | undefined> {
    const { space, claims } = this.#options;
    try {
      return (await space.admit(fetch.facts, claims(), fetch.priority, fetch.ahead))?.problem;
    } catch (error) {
      return new Problem("exhausted", messageOf(error));
    }
  }
}
