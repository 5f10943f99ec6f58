import { messageOf, Problem } from "../../daemon/problem.ts";
import { diskSpaceOf, formatBytes } from "../cache/disk-space.ts";
import type { CacheEntry } from "../cache/image-cache.ts";
import type { FetchPriority, ImageFacts } from "../cache/records.ts";
import { ChangeSignal } from "../change-signal.ts";
import { Fetch } from "./fetch.ts";
import { type FetchView, hasEnded } from "./fetch-view.ts";
import { FetchQueue } from "./queue.ts";
import type { FetchTools } from "./transfer.ts";

/** How often watchers hear of progress. */
const progressIntervalMs = 200;
/** Ended fetches that are still listed. */
const endedMax = 100;

export interface FetchesOptions {
  tools: FetchTools;
  concurrency: number;
  queueMax: number;
  /** Told of every fetch that ends, once. */
  onEnded: (fetch: Fetch) => void;
}

/** All fetches of the node: one per digest whoever asks, at most so many active, the rest in a queue by priority. */
export class Fetches {
  /** Notified of every change, progress included, a few times a second. */
  readonly changes = new ChangeSignal();
  /** Notified when a fetch comes, changes its state or ends. */
  readonly stateChanges = new ChangeSignal();
  readonly #options: FetchesOptions;
  readonly #tools: FetchTools;
  readonly #queue: FetchQueue;
  readonly #current = new Map<string, Fetch>();
  /** The latest first. */
  #ended: Fetch[] = [];
  #cancelTick: (() => void) | undefined;
  #closing = false;

  constructor(options: FetchesOptions) {
    this.#options = options;
    this.#tools = options.tools;
    this.#queue = new FetchQueue(options.concurrency, options.queueMax);
  }

  get activeCount(): number {
    return this.#queue.activeCount;
  }

  get queuedCount(): number {
    return this.#queue.waiting.length;
  }

  /** The longest that any active fetch has received nothing, in seconds. */
  get quietSeconds(): number {
    return Math.max(0, ...[...this.#current.values()].map((fetch) => fetch.quietSeconds));
  }

  /** The fetch of a digest that has not ended. */
  get(digest: string): Fetch | undefined {
    return this.#current.get(digest);
  }

  /** Queued and active fetches: the active in order of start, then the queue in its order. */
  current(): Fetch[] {
    const order = new Map(this.#queue.waiting.map((digest, index) => [digest, index]));
    const place = (fetch: Fetch) => order.get(fetch.digest) ?? -1;
    return [...this.#current.values()].sort((a, b) => place(a) - place(b));
  }

  /** As `current`, and then those that ended lately, the latest first. */
  list(): FetchView[] {
    return [...this.current(), ...this.#ended].map((fetch) => fetch.view());
  }

  /**
   * Fetches an image, unless that is under way. One caller at a time.
   *
   * @throws Problem "exhausted" if the queue is full or the disk has no room.
   */
  async ensure(facts: ImageFacts, name: string, priority: FetchPriority, requestedAt: Date): Promise<Fetch> {
    if (this.#closing) throw new Problem("unavailable", "the agent is stopping");
    const running = this.#current.get(facts.digest);
    if (running) {
      running.raise(priority);
      this.#queue.raise(facts.digest, priority);
      return running;
    }
    if (this.#queue.full) {
      throw new Problem(
        "exhausted",
        `${this.#options.queueMax} fetches wait already (fetch.queueMax); cancel some, or ask again when some have ended`,
      );
    }
    const { cache } = this.#tools;
    await this.#checkSpace(facts);
    await cache.begin(facts, { name, priority, requestedAt: requestedAt.toISOString() });
    const fetch = new Fetch(this.#tools, { facts, name, priority, requestedAt }, () => this.#onState(fetch));
    this.#current.set(facts.digest, fetch);
    this.#queue.add(facts.digest, priority);
    this.#startNext();
    this.stateChanges.notify();
    this.changes.notify();
    return fetch;
  }

  /** Queues again what was wanted when the agent last stopped. Those that cannot be are logged and stay as they are. */
  async resume(): Promise<void> {
    const wanted = this.#tools.cache
      .list()
      .filter((entry) => !entry.complete && entry.record.wanted !== null)
      .map((entry) => ({ record: entry.record, ...(entry.record.wanted as NonNullable<typeof entry.record.wanted>) }))
      .sort((a, b) => (a.requestedAt < b.requestedAt ? -1 : 1));
    for (const { record, name, priority, requestedAt } of wanted) {
      try {
        await this.ensure(factsOf(record), name, priority, new Date(requestedAt));
        this.#tools.log.info({ digest: record.digest }, "going on with a fetch from before the restart");
      } catch (error) {
        this.#tools.log.warn({ digest: record.digest, error: messageOf(error) }, "cannot go on with a fetch");
      }
    }
  }

  /** Stops all fetches; what has arrived stays, and the next start goes on. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#cancelTick?.();
    await Promise.all([...this.#current.values()].map((fetch) => fetch.suspend()));
  }

  /** Room for this image beside what is promised to the others. Bytes already on disk need no more room. */
  async #checkSpace(facts: ImageFacts): Promise<void> {
    const { cache } = this.#tools;
    const { freeBytes } = await diskSpaceOf(cache.layout.disk, cache.layout.images);
    const here = cache.get(facts.digest)?.allocatedBytes ?? 0;
    const neededBytes = Math.max(0, facts.sizeBytes - here);
    let promisedBytes = 0;
    for (const fetch of this.#current.values()) {
      promisedBytes += Math.max(0, fetch.facts.sizeBytes - fetch.view().doneBytes);
    }
    if (neededBytes + promisedBytes <= freeBytes) return;
    const promised = promisedBytes === 0 ? "" : `, of which ${formatBytes(promisedBytes)} are for fetches under way`;
    throw new Problem(
      "exhausted",
      `no room for image ${facts.digest}: it needs ${formatBytes(neededBytes)} (${neededBytes} bytes), and the disk that holds ${cache.layout.directory} has ${formatBytes(freeBytes)} free (${freeBytes} bytes)${promised}; remove images or free space`,
    );
  }

  #startNext(): void {
    for (let digest = this.#queue.takeNext(); digest !== undefined; digest = this.#queue.takeNext()) {
      this.#current.get(digest)?.start();
    }
    this.#tick();
  }

  #onState(fetch: Fetch): void {
    if (hasEnded(fetch.state)) {
      this.#current.delete(fetch.digest);
      this.#queue.remove(fetch.digest);
      this.#ended = [fetch, ...this.#ended.filter((other) => other.digest !== fetch.digest)].slice(0, endedMax);
      this.#logEnd(fetch);
      this.#options.onEnded(fetch);
      if (!this.#closing) this.#startNext();
    }
    this.stateChanges.notify();
    this.changes.notify();
  }

  #logEnd(fetch: Fetch): void {
    const { digest, name, swarmBytes, httpBytes, error } = fetch.view();
    const fields = { digest, name, seconds: fetch.activeSeconds, swarmBytes, httpBytes };
    if (fetch.state === "failed") this.#tools.log.error({ ...fields, error }, "fetch failed");
    else this.#tools.log.info(fields, `fetch ${fetch.state}`);
  }

  /** Samples rates and wakes watchers for as long as anything is active. */
  #tick(): void {
    if (this.#cancelTick || this.#queue.activeCount === 0) return;
    this.#cancelTick = this.#tools.clock.after(progressIntervalMs, () => {
      this.#cancelTick = undefined;
      for (const fetch of this.#current.values()) fetch.sample();
      this.changes.notify();
      if (!this.#closing) this.#tick();
    });
  }
}

/** The facts that a record was made of. */
export function factsOf(record: CacheEntry["record"]): ImageFacts {
  const { version: _version, wanted: _wanted, completedAt: _completedAt, ...facts } = record;
  return facts;
}
