/**
 * The budget of what nodes take from the origin instead of the swarm: slots and a rate, for all of them together.
 *
 * What counts is decided here and not by who asks: every download of an image that has a torrent. A node whose operator has
 * set `fetch.fallback: always` says so, and is sent what it asks for outside the budget; that is counted apart.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Request } from "../../daemon/listener.ts";
import { Problem } from "../../daemon/problem.ts";
import { ByteRate } from "./byte-rate.ts";
import { FallbackSlots } from "./fallback-slots.ts";

/** Told by an agent with each request for an image that has a magnet link: its fetch.fallback, and its node id. */
const modeHeader = "bootswarm-fallback";
const nodeHeader = "bootswarm-node";
/** Ids longer than that are not told apart by the rest. */
const nodeCharactersMax = 128;
/** Sent at a time: at most this, and at most what a slot's part of the rate gives in a second. */
const chunkBytesMax = 512 * 1024;
const chunkBytesMin = 1_024;

/**
 * Requests that are kept waiting in place of being refused, for each slot, and for how long: a node's turn comes the moment
 * that a slot is free, where to refuse it and have it ask again would leave slots idle.
 */
const placesPerSlot = 4;
const lineMs = 1_000;

export type FallbackMode = "budgeted" | "always";

export interface FallbackRules {
  slots: number;
  /** 0 is no limit. */
  bytesPerSecond: number;
}

/** The right to send one response. */
export interface Lease {
  readonly mode: FallbackMode;
  readonly chunkBytes: number;
  /** Resolves when so many bytes may be sent, or rejects when the signal aborts. */
  pace(bytes: number, signal: AbortSignal): Promise<void>;
  end(): void;
}

/** There is no slot now. */
export class NoSlot extends Problem {
  readonly retryAfterMs: number;

  constructor(retryAfterMs: number) {
    super(
      "unavailable",
      `all slots for downloads beside the swarm are taken (origin.fallbackSlots); ask again in ${Math.ceil(retryAfterMs / 1_000)} s`,
    );
    this.retryAfterMs = retryAfterMs;
  }
}

export class FallbackBudget {
  readonly #slots: FallbackSlots;
  readonly #rate: ByteRate;
  readonly #nowMs: () => number;
  readonly #chunkBytes: number;
  readonly #lineMax: number;
  /** Requests that are kept waiting, the first first. */
  readonly #line: { node: string; settle: (granted: boolean) => void }[] = [];
  #refused = 0;

  /** `nowMs` never goes back; `random` is uniform in [0, 1). */
  constructor(rules: FallbackRules, nowMs: () => number, random: () => number) {
    this.#slots = new FallbackSlots(rules.slots, random);
    this.#rate = new ByteRate(rules.bytesPerSecond);
    this.#nowMs = nowMs;
    this.#lineMax = placesPerSlot * rules.slots;
    const share = rules.bytesPerSecond === 0 ? chunkBytesMax : Math.floor(rules.bytesPerSecond / rules.slots);
    this.#chunkBytes = Math.min(Math.max(share, chunkBytesMin), chunkBytesMax);
  }

  get slotsInUse(): number {
    return this.#slots.inUse;
  }

  /** Nodes that have been told to come back. */
  get waiting(): number {
    return this.#slots.waiting;
  }

  get refused(): number {
    return this.#refused;
  }

  /**
   * Waits for a slot, for a moment if need be.
   *
   * @throws NoSlot if the node has to come back later, or `gone` aborts.
   */
  async lease(request: Request, gone: AbortSignal): Promise<Lease> {
    if (headerOf(request, modeHeader) === "always") {
      return { mode: "always", chunkBytes: chunkBytesMax, pace: async () => {}, end: () => {} };
    }
    const node = nodeOf(request);
    if (!(await this.#hasSlot(node, gone))) {
      this.#refused++;
      const answer = this.#slots.ask(node, this.#nowMs());
      // It may have come free this very moment.
      if (!answer.granted) throw new NoSlot(answer.retryAfterMs);
    }
    const lease = this.#leaseOf(node);
    if (!gone.aborted) return lease;
    lease.end();
    throw new NoSlot(0);
  }

  async #hasSlot(node: string, gone: AbortSignal): Promise<boolean> {
    // Who asks now comes after those who are kept waiting.
    if (this.#line.length === 0 && this.#slots.ask(node, this.#nowMs()).granted) return true;
    if (this.#line.length >= this.#lineMax) return false;
    return new Promise((resolve) => {
      const place = { node, settle: resolve };
      const leave = () => {
        const at = this.#line.indexOf(place);
        if (at >= 0) this.#line.splice(at, 1);
        place.settle(false);
      };
      const timer = setTimeout(leave, lineMs);
      gone.addEventListener("abort", leave, { once: true });
      place.settle = (granted) => {
        clearTimeout(timer);
        gone.removeEventListener("abort", leave);
        resolve(granted);
      };
      this.#line.push(place);
      this.#serveLine();
    });
  }

  /** Gives what is free to those who are kept waiting. */
  #serveLine(): void {
    for (;;) {
      const index = this.#slots.grantOneOf(this.#line.map(({ node }) => node));
      if (index === undefined) return;
      const [place] = this.#line.splice(index, 1);
      place?.settle(true);
    }
  }

  #leaseOf(node: string): Lease {
    const startMs = this.#nowMs();
    let ended = false;
    return {
      mode: "budgeted",
      chunkBytes: this.#chunkBytes,
      pace: async (bytes, signal) => {
        const waitMs = this.#rate.reserve(bytes, this.#nowMs());
        if (waitMs > 0) await delay(waitMs, undefined, { signal });
      },
      end: () => {
        if (ended) return;
        ended = true;
        this.#slots.release(node, this.#nowMs() - startMs);
        this.#serveLine();
      },
    };
  }
}

/** Who asks: the node by its id, anybody else by the address. */
function nodeOf(request: Request): string {
  const id = headerOf(request, nodeHeader);
  return id ? `node ${id.slice(0, nodeCharactersMax)}` : `address ${request.socket?.remoteAddress ?? "unknown"}`;
}

function headerOf(request: Request, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value[0] : value;
}
