import { messageOf, Problem } from "../../daemon/problem.ts";
import type { Serial } from "../../daemon/serial.ts";
import { type DiskFault, diskFaultOf } from "../cache/disk-fault.ts";
import type { CacheEntry } from "../cache/image-cache.ts";
import { imagePaths } from "../cache/layout.ts";
import type { AheadTerms, FetchPriority, ImageFacts } from "../cache/records.ts";
import { ChangeSignal } from "../change-signal.ts";
import type { Claim, Space } from "../space.ts";
import { Fetch } from "./fetch.ts";
import { type FetchView, hasEnded } from "./fetch-view.ts";
import { RatePace, trickleBytesPerSecond } from "./pace.ts";
import { comparePriorities, FetchQueue } from "./queue.ts";
import type { FetchTools } from "./transfer.ts";

/** How often watchers hear of progress. */
const progressIntervalMs = 200;
/** Ended fetches that are still listed. */
const endedMax = 100;
/** How often fetches that wait for space look for it: what other programs free is not announced. */
const spaceIntervalMs = 2_000;

export interface FetchesOptions {
  tools: FetchTools;
  concurrency: number;
  queueMax: number;
  /** Bytes per second of all that is brought ahead of need, together; 0 is no limit. */
  prefetchBytesPerSecondMax: number;
  space: Space;
  /** Whether a fetch that finds no room waits for it, instead of being refused. */
  whenFull: "refuse" | "wait";
  /** Admits and removes one image at a time, so that neither sees the other half done. */
  changing: Serial;
  /** Whether a VM boots from an image's boot image: the rest of it can wait. */
  isBooting: (digest: string) => boolean;
  /** Told of every fetch that ends, once. */
  onEnded: (fetch: Fetch) => void;
  /** Told when one that is brought ahead of need gives its place to another. */
  onYielded: () => void;
}

/** What goes with a fetch that somebody does not ask for now. */
export interface FetchReason {
  /** Why it is fetched though nobody asks for it now. */
  unasked?: "resumed" | "repair";
  /** On what terms the seeder has it brought ahead of need. */
  ahead?: AheadTerms | undefined;
}

/** All fetches of the node: one per digest whoever asks, at most so many active but for those that VMs wait for, the rest in a queue by priority. */
export class Fetches {
  /** Notified of every change, progress included, a few times a second. */
  readonly changes = new ChangeSignal();
  /** Notified when a fetch comes, changes its state or ends. */
  readonly stateChanges = new ChangeSignal();
  readonly #options: FetchesOptions;
  readonly #tools: FetchTools;
  readonly #queue: FetchQueue;
  readonly #current = new Map<string, Fetch>();
  /** Those of `#current` that have no room yet, in order of asking. */
  readonly #waitingForSpace = new Set<string>();
  #cancelSpaceTick: (() => void) | undefined;
  /** The latest first. */
  #ended: Fetch[] = [];
  /** Those that have been told to wait for the disk. */
  readonly #paused = new Set<string>();
  /** Those of `#paused` that the disk was too full for: they look for room again before they go on. */
  readonly #displaced = new Set<string>();
  #cancelTick: (() => void) | undefined;
  #closing = false;
  /** Somebody waits for an active fetch: what is brought ahead of need leaves the link to it. */
  #isUrgentActive = false;
  readonly #prefetchPace: RatePace;

  constructor(options: FetchesOptions) {
    this.#options = options;
    this.#tools = options.tools;
    this.#queue = new FetchQueue(options.concurrency);
    const limit = options.prefetchBytesPerSecondMax;
    const held = Math.min(trickleBytesPerSecond, limit || trickleBytesPerSecond);
    this.#prefetchPace = new RatePace(options.tools.clock, () => (this.#isUrgentActive ? held : limit));
  }

  get activeCount(): number {
    return this.#queue.activeCount;
  }

  /** Fetches that wait for a disk with this fault. */
  pausedCount(fault: DiskFault): number {
    return [...this.#current.values()].filter((fetch) => fetch.fault === fault).length;
  }

  get queuedCount(): number {
    return this.#queue.waiting.length + this.#waitingForSpace.size;
  }

  /** Fetches that wait for room on the disk; they count as queued. */
  get waitingForSpaceCount(): number {
    return this.#waitingForSpace.size;
  }

  /** What room the fetches take, and what is promised to them. */
  claims(): Claim[] {
    return [...this.#current.values()].map((fetch) => ({
      digest: fetch.digest,
      isAdmitted: !this.#waitingForSpace.has(fetch.digest) && !this.#displaced.has(fetch.digest),
      sizeBytes: fetch.facts.sizeBytes,
      placedBytes: fetch.placedBytes,
    }));
  }

  /** The longest that any active fetch has received nothing, in seconds. */
  get quietSeconds(): number {
    return Math.max(0, ...[...this.#current.values()].map((fetch) => fetch.quietSeconds));
  }

  /** The fetch of a digest that has not ended. */
  get(digest: string): Fetch | undefined {
    return this.#current.get(digest);
  }

  /** Fetches under way: the active in order of start, then the paused, then the queue in its order. */
  current(): Fetch[] {
    const order = new Map([...this.#queue.waiting, ...this.#waitingForSpace].map((digest, index) => [digest, index]));
    const place = (fetch: Fetch) => order.get(fetch.digest) ?? (fetch.state === "paused" ? -1 : -2);
    return [...this.#current.values()].sort((a, b) => place(a) - place(b));
  }

  /** As `current`, and then those that ended lately, the latest first. */
  list(): FetchView[] {
    return [...this.current(), ...this.#ended].map((fetch) => fetch.view());
  }

  /**
   * Fetches an image, unless that is under way. To be called within `changing`.
   *
   * @param reason a fetch that is resumed or repaired waits for room: nobody is there to be told. Otherwise it counts as a
   * use of the image, and what finds no room waits or is refused as configured; what can never fit is refused, and what
   * the seeder has brought ahead of need never waits.
   * @throws Problem "exhausted" if the queue is full or the disk has no room.
   */
  async ensure(
    facts: ImageFacts,
    name: string,
    priority: FetchPriority,
    requestedAt: Date,
    reason: FetchReason = {},
  ): Promise<Fetch> {
    const { unasked, ahead } = reason;
    // One that is being cancelled is of no use to who asks now: it begins anew.
    for (let ending = this.get(facts.digest); ending?.isEnding; ending = this.get(facts.digest)) await ending.ended;
    if (this.#closing) throw new Problem("unavailable", "the agent is stopping");
    const running = this.get(facts.digest);
    if (running) {
      running.raise(priority);
      if (ahead) running.setAhead(ahead);
      this.#queue.raise(facts.digest, priority);
      this.#lookForUrgent();
      // One that a VM waits for does not wait for others.
      this.#startNext();
      // One that somebody waits for is not brought ahead of need, whoever wants it, too.
      const isNews = unasked === undefined && (priority !== "prefetch" || running.priority === "prefetch");
      if (isNews) await this.#options.space.noteUse(facts.digest, priority, running.ahead?.expectedUses);
      return running;
    }
    const pausedCount = [...this.#current.values()].filter(({ state }) => state === "paused").length;
    if (this.queuedCount + pausedCount >= this.#options.queueMax) {
      throw new Problem(
        "exhausted",
        `${this.#options.queueMax} fetches wait already (fetch.queueMax); cancel some, or ask again when some have ended`,
      );
    }
    const { space, whenFull } = this.#options;
    const isInPlace = unasked === "repair" && (await this.#hasItsLength(facts));
    const full = isInPlace ? undefined : await space.admit(facts, this.claims(), priority, ahead);
    const isWaiting = unasked !== undefined || (whenFull === "wait" && ahead === undefined);
    if (full && (full.isHopeless || !isWaiting)) throw full.problem;
    const wanted = { name, priority, requestedAt: requestedAt.toISOString(), ...(ahead && { ahead }) };
    await this.#tools.cache.begin(facts, wanted);
    if (unasked === undefined) await space.noteUse(facts.digest, priority, ahead?.expectedUses);
    const fetch = this.#take(facts, name, priority, requestedAt, ahead);
    if (full) this.#awaitSpace(fetch, full.problem);
    else this.#queue.add(facts.digest, priority);
    this.#startNext();
    this.stateChanges.notify();
    this.changes.notify();
    return fetch;
  }

  /** A repair of such a file needs no room: what it writes is in the place of what is wrong. One that was cut needs some. */
  async #hasItsLength({ digest, sizeBytes }: ImageFacts): Promise<boolean> {
    const { layout } = this.#tools.cache;
    const { size } = await layout.disk.stat(imagePaths(layout, digest).data).catch(() => ({ size: 0 }));
    return size === sizeBytes;
  }

  #take(
    facts: ImageFacts,
    name: string,
    priority: FetchPriority,
    requestedAt: Date,
    ahead: AheadTerms | undefined,
  ): Fetch {
    const fetch = new Fetch(this.#tools, {
      ...{ facts, name, priority, requestedAt, ahead },
      pace: this.#prefetchPace,
      isHeldBack: () => this.#isUrgentActive,
      isBooting: () => this.#options.isBooting(facts.digest),
      onState: () => this.#onState(fetch),
      lacksRoom: () => this.#lacksRoom(fetch),
    });
    this.#current.set(facts.digest, fetch);
    return fetch;
  }

  /** Finds room for a fetch that the disk was too full for; the Problem if there is none yet. */
  #lacksRoom(fetch: Fetch): Promise<Problem | undefined> {
    return this.#options.changing.run(async () => {
      // Nothing is evicted for a fetch that has been cancelled while others had their turn.
      if (this.#current.get(fetch.digest) !== fetch) return undefined;
      const full = await this.#admitLater(fetch);
      // Before anybody else is admitted.
      if (!full) this.#displaced.delete(fetch.digest);
      return full;
    });
  }

  /**
   * Queues again what was wanted when the agent last stopped. Where the disk takes no more, it is paused; others that
   * cannot be are logged and stay as they are.
   */
  async resume(): Promise<void> {
    const wanted = this.#tools.cache
      .list()
      .filter((entry) => !entry.complete && entry.record.wanted !== null)
      .map(({ record, used }) => ({ record, ...askedAs(record.wanted as NonNullable<typeof record.wanted>, used) }))
      .sort((a, b) => (a.requestedAt < b.requestedAt ? -1 : 1));
    for (const { record, name, priority, requestedAt, ahead } of wanted) {
      try {
        const { changing } = this.#options;
        const reason: FetchReason = { unasked: record.damage === undefined ? "resumed" : "repair", ahead };
        await changing.run(() => this.ensure(factsOf(record), name, priority, new Date(requestedAt), reason));
        this.#tools.log.info({ digest: record.digest }, "going on with a fetch from before the restart");
      } catch (error) {
        const fault = diskFaultOf(error);
        if (fault) {
          const fetch = this.#take(factsOf(record), name, priority, new Date(requestedAt), ahead);
          fetch.startPaused(fault, error, this.#tools.cache.get(record.digest)?.allocatedBytes ?? 0);
        } else {
          this.#tools.log.warn({ digest: record.digest, error: messageOf(error) }, "cannot go on with a fetch");
        }
      }
    }
  }

  /** Stops all fetches; what has arrived stays, and the next start goes on. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#cancelTick?.();
    this.#cancelSpaceTick?.();
    await Promise.all([...this.#current.values()].map((fetch) => fetch.suspend()));
  }

  #awaitSpace(fetch: Fetch, problem: Problem): void {
    if (!this.#waitingForSpace.has(fetch.digest)) {
      this.#tools.log.warn({ digest: fetch.digest, error: problem.message }, "a fetch waits for room on the disk");
    }
    this.#waitingForSpace.add(fetch.digest);
    fetch.delay(`waiting for room on the disk: ${problem.message}`);
    this.changes.notify();
    this.#cancelSpaceTick ??= this.#tools.clock.after(spaceIntervalMs, () => {
      this.#cancelSpaceTick = undefined;
      void this.lookForSpace();
    });
  }

  /** Admits those that wait for space and have it now: the most urgent first, and whoever fits. Never rejects. */
  lookForSpace(): Promise<void> {
    if (this.#waitingForSpace.size === 0) return Promise.resolve();
    return this.#options.changing.run(async () => {
      const waiting = [...this.#waitingForSpace].map((digest) => this.#current.get(digest) as Fetch);
      for (const fetch of waiting.sort((a, b) => comparePriorities(a.priority, b.priority))) {
        if (this.#closing) return;
        const full = await this.#admitLater(fetch);
        if (!this.#waitingForSpace.has(fetch.digest)) continue;
        if (full) {
          this.#awaitSpace(fetch, full);
          continue;
        }
        this.#waitingForSpace.delete(fetch.digest);
        fetch.delay("");
        this.#queue.add(fetch.digest, fetch.priority);
      }
      this.#startNext();
      this.changes.notify();
    });
  }

  async #admitLater(fetch: Fetch): Promise<Problem | undefined> {
    try {
      return (await this.#options.space.admit(fetch.facts, this.claims(), fetch.priority, fetch.ahead))?.problem;
    } catch (error) {
      return new Problem("exhausted", messageOf(error));
    }
  }

  #startNext(): void {
    for (let digest = this.#queue.takeNext(); digest !== undefined; digest = this.#queue.takeNext()) {
      this.#current.get(digest)?.start();
    }
    const mayYield = (digest: string) => this.#current.get(digest)?.state === "active";
    for (
      let digest = this.#queue.takeYielding(mayYield);
      digest !== undefined;
      digest = this.#queue.takeYielding(mayYield)
    ) {
      const { name, doneBytes } = (this.#current.get(digest) as Fetch).view();
      this.#tools.log.info(
        { digest, name, doneBytes },
        "a fetch ahead of need gives its place to one that is asked for",
      );
      this.#options.onYielded();
      this.#current.get(digest)?.yieldPlace();
    }
    this.#tick();
  }

  #lookForUrgent(): void {
    this.#isUrgentActive = [...this.#current.values()].some(
      ({ state, priority }) => state === "active" && priority !== "prefetch",
    );
  }

  #onState(fetch: Fetch): void {
    this.#lookForUrgent();
    if (hasEnded(fetch.state)) {
      this.#current.delete(fetch.digest);
      this.#queue.remove(fetch.digest);
      this.#waitingForSpace.delete(fetch.digest);
      this.#paused.delete(fetch.digest);
      this.#displaced.delete(fetch.digest);
      this.#ended = [fetch, ...this.#ended.filter((other) => other.digest !== fetch.digest)].slice(0, endedMax);
      this.#logEnd(fetch);
      this.#options.onEnded(fetch);
      if (!this.#closing) this.#startNext();
      // It has given back what it had not used.
      if (!this.#closing) void this.lookForSpace();
    } else if (fetch.state === "paused" || fetch.state === "queued") {
      this.#onPause(fetch);
    }
    this.stateChanges.notify();
    this.changes.notify();
  }

  /** A paused fetch gives its place to others, and waits for one when the disk takes more. */
  #onPause(fetch: Fetch): void {
    const { digest, name, error, doneBytes } = fetch.view();
    if (fetch.state === "paused") {
      if (!this.#paused.has(digest)) {
        this.#tools.log.warn({ digest, name, doneBytes, error }, "a fetch waits for the disk");
        if (fetch.fault === "full") this.#displaced.add(digest);
      }
      this.#paused.add(digest);
      this.#queue.remove(digest);
    } else if (!this.#paused.has(digest)) {
      // It gave its place to another.
      this.#queue.remove(digest);
      this.#queue.add(digest, fetch.priority, true);
    } else {
      this.#paused.delete(digest);
      this.#displaced.delete(digest);
      this.#tools.log.info({ digest, name, doneBytes }, "the disk takes more; going on with a fetch");
      this.#queue.add(digest, fetch.priority);
    }
    if (!this.#closing) this.#startNext();
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

/** What was wanted, but that nobody waits any more for somebody to ask: what was brought ahead of need has been asked for. */
function askedAs(wanted: NonNullable<CacheEntry["record"]["wanted"]>, used: CacheEntry["used"]): typeof wanted {
  const { ahead, ...asked } = wanted;
  if (!ahead || used.prefetched) return wanted;
  return { ...asked, priority: "ensure" };
}

/** The facts that a record was made of. */
export function factsOf(record: CacheEntry["record"]): ImageFacts {
  const { version: _version, wanted: _wanted, completedAt: _completedAt, damage: _damage, ...facts } = record;
  return facts;
}
