import type { Log } from "../../daemon/log.ts";
import { messageOf } from "../../daemon/problem.ts";
import { nextOf, preferredOrder } from "./preference.ts";
import { isLoopbackUrl, isSeederUrl, seedersMax } from "./seeder-urls.ts";

/**
 * Nodes that have lost their seeder come to another within this time, each at a moment of its own, unless something waits
 * for the answer: ten thousand are two thousand a second.
 */
export const moveSpreadMsMax = 5_000;

export interface SeedersOptions {
  /** As configured; at least one. */
  urls: readonly string[];
  nodeId: string;
  /** Milliseconds, growing. */
  nowMs: () => number;
  now: () => Date;
  log: Log;
}

/** One of the seeders, for people. */
export interface SeederView {
  url: string;
  /** Whether it is the one that is asked. */
  inUse: boolean;
  /** Whether another seeder told of it. */
  learned: boolean;
  answeredAt: Date | undefined;
  /** Why it did not answer when it was last asked; empty if it did, or never was. */
  error: string;
}

interface Candidate {
  url: string;
  learned: boolean;
  answeredAt: Date | undefined;
  error: string | undefined;
  failedAtMs: number | undefined;
}

/**
 * The seeders that a node may ask, and which it asks: one for everything, until that does not answer. Those configured
 * always count; those that seeders tell of are added while they are told.
 */
export class Seeders {
  readonly #options: SeedersOptions;
  /** In the order preferred. */
  #candidates: Candidate[];
  #current: Candidate;
  #error: string | undefined = "no answer yet";
  #moves = 0;

  constructor(options: SeedersOptions) {
    this.#options = options;
    this.#candidates = preferredOrder(options.urls, options.nodeId).map((url) => candidate(url, false));
    this.#current = nextOf(this.#candidates);
  }

  /** The one to ask now. */
  get url(): string {
    return this.#current.url;
  }

  /** The one that this node would ask if all answered. */
  get preferredUrl(): string {
    return (this.#candidates[0] as Candidate).url;
  }

  /** Whether the last exchange succeeded, of whatever kind it was. */
  get reachable(): boolean {
    return this.#error === undefined;
  }

  /** Why not; empty if it did. */
  get error(): string {
    return this.#error ?? "";
  }

  /** When the one that is asked last answered. */
  get answeredAt(): Date | undefined {
    return this.#current.answeredAt;
  }

  /** How often another was turned to. */
  get moves(): number {
    return this.#moves;
  }

  list(): SeederView[] {
    return this.#candidates.map(({ url, learned, answeredAt, error }) => {
      return { url, inUse: url === this.url, learned, answeredAt, error: error ?? "" };
    });
  }

  /** A seeder answered. */
  answered(url: string): void {
    const seeder = this.#candidateOf(url);
    if (seeder) {
      seeder.answeredAt = this.#options.now();
      seeder.error = undefined;
      seeder.failedAtMs = undefined;
    }
    if (url === this.url) this.#error = undefined;
  }

  /** A seeder did not answer. If it is the one that is asked, another is from now on. */
  failed(url: string, error: unknown): void {
    const seeder = this.#candidateOf(url);
    if (seeder) {
      seeder.error = messageOf(error);
      seeder.failedAtMs = this.#options.nowMs();
    }
    if (url !== this.url) return;
    this.#error = messageOf(error);
    const next = nextOf(this.#candidates);
    if (next === this.#current) return;
    const fields = { from: url, to: next.url, error: this.#error };
    // Where none answers, it goes round and round.
    if (next.failedAtMs === undefined) this.#options.log.warn(fields, "the seeder does not answer; asking another");
    else this.#options.log.debug(fields, "no seeder answers; asking the next again");
    this.#moveTo(next);
  }

  /** The preferred one answers again: it is asked from now on. */
  returnTo(url: string): void {
    const seeder = this.#candidateOf(url);
    if (!seeder || seeder === this.#current) return;
    this.#options.log.info({ from: this.url, to: url }, "asking the preferred seeder again");
    this.#moveTo(seeder);
    this.answered(url);
  }

  /** Takes in which seeders there are, as one of them says. What cannot be of use here is passed over. */
  learn(told: readonly string[]): void {
    const { urls, nodeId } = this.#options;
    const isLocal = urls.every(isLoopbackUrl);
    const usable = told
      .slice(0, seedersMax)
      .map((url) => url.replace(/\/+$/, ""))
      // Loopback is the seeder's machine, not this one.
      .filter((url) => isSeederUrl(url) && (isLocal || !isLoopbackUrl(url)));
    const known = new Map(this.#candidates.map((each) => [each.url, each]));
    const wanted = new Set([...urls, ...usable, this.url]);
    if (wanted.size === known.size && [...wanted].every((url) => known.has(url))) return;
    const order = preferredOrder([...wanted], nodeId);
    this.#candidates = order.map((url) => known.get(url) ?? candidate(url, true));
  }

  #candidateOf(url: string): Candidate | undefined {
    return this.#candidates.find((each) => each.url === url);
  }

  #moveTo(next: Candidate): void {
    this.#current = next;
    this.#moves++;
  }
}

function candidate(url: string, learned: boolean): Candidate {
  return { url, learned, answeredAt: undefined, error: undefined, failedAtMs: undefined };
}
