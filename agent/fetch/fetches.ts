import { messageOf, Problem } from "../../daemon/problem.ts";
import type { Serial } from "../../daemon/serial.ts";
import { type DiskFault, diskFaultOf } from "../cache/disk-fault.ts";
import { imagePaths } from "../cache/layout.ts";
import type { AheadTerms, FetchPriority, ImageFacts } from "../cache/records.ts";
import { ChangeSignal } from "../change-signal.ts";
import type { Claim, Space } from "../space.ts";
import { Fetch } from "./fetch.ts";
import { type FetchView, hasEnded } from "./fetch-view.ts";
import { RatePace, trickleBytesPerSecond } from "./pace.ts";
import { FetchQueue } from "./queue.ts";
import { SpaceWaits } from "./space-waits.ts";
import type { FetchTools } from "./transfer.ts";
import { type Unasked, wantedFetches } from "./wanted.ts";

/** How often watchers hear of progress. */
const progressIntervalMs = 200;
/** Ended fetches that are still listed. */
const endedMax = 100;

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
  unasked?: Unasked;
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
  /** Those of `#current` that there is no room for. */
  readonly #spaceWaits: SpaceWaits;
  /** The latest first. */
  #ended: Fetch[] = [];
  /** Those that have been told to wait for the disk. */
  readonly #paused = new Set<string>();
  #cancelTick: (() => void) | undefined;
  #closing = false;
  /** Somebody waits for an active fetch: what is brought ahead of need leaves the link to it. */
  #isUrgentActive = false;
  readonly #prefetchPace: RatePace;

  constructor(options: FetchesOptions) {
    this.#options = options;
    this.#tools = options.tools;
    this.#queue = new FetchQueue(options.concurrency);
    this.#spaceWaits = new SpaceWaits({
      ...{ space: options.space, changing: options.changing, clock: options.tools.clock, log: options.tools.log },
      claims: () => this.claims(),
      onAdmitted: (fetch) => this.#queue.add(fetch.digest, fetch.priority),
      onLooked: () => {
        this.#startNext();
        this.changes.notify();
      },
    });
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
    return this.#queue.waiting.length + this.#spaceWaits.waitingCount;
  }

  /** Fetches that wait for room on the disk; they count as queued. */
  get waitingForSpaceCount(): number {
    return this.#spaceWaits.waitingCount;
  }

  /** What room the fetches take, and what is promised to them. */
  claims(): Claim[] {
    return [...this.#current.values()].map((fetch) => ({
      digest: fetch.digest,
      isAdmitted: this.#spaceWaits.isAdmitted(fetch),
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
    const waiting = [...this.#queue.waiting, ...this.#spaceWaits.waiting.map(({ digest }) => digest)];
    const order = new Map(waiting.map((digest, index) => [digest, index]));
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
    if (full) this.#spaceWaits.add(fetch, full.problem);
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
      lacksRoom: () => this.#spaceWaits.readmit(fetch),
    });
    this.#current.set(facts.digest, fetch);
    return fetch;
  }

  /**
   * Queues again what was wanted when the agent last stopped. Where the disk takes no more, it is paused; others that
   * cannot be are logged and stay as they are.
   */
  async resume(): Promise<void> {
    for (const { facts, wanted, unasked } of wantedFetches(this.#tools.cache.list())) {
      const { name, priority, ahead } = wanted;
      const { digest } = facts;
      const requestedAt = new Date(wanted.requestedAt);
      try {
        const { changing } = this.#options;
        await changing.run(() => this.ensure(facts, name, priority, requestedAt, { unasked, ahead }));
        this.#tools.log.info({ digest }, "going on with a fetch from before the restart");
      } catch (error) {
        const fault = diskFaultOf(error);
        if (fault) {
          const fetch = this.#take(facts, name, priority, requestedAt, ahead);
          fetch.startPaused(fault, error, this.#tools.cache.get(digest)?.allocatedBytes ?? 0);
        } else {
          this.#tools.log.warn({ digest, error: messageOf(error) }, "cannot go on with a fetch");
        }
      }
    }
  }

  /** Stops all fetches; what has arrived stays, and the next start goes on. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#cancelTick?.();
    this.#spaceWaits.close();
    await Promise.all([...this.#current.values()].map((fetch) => fetch.suspend()));
  }

  /** Admits those that wait for space and have it now. Never rejects. */
  lookForSpace(): Promise<void> {
    return this.#spaceWaits.look();
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
      this.#spaceWaits.remove(fetch);
      this.#paused.delete(fetch.digest);
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
        if (fetch.fault === "full") this.#spaceWaits.displace(fetch);
      }
      this.#paused.add(digest);
      this.#queue.remove(digest);
    } else if (!this.#paused.has(digest)) {
      // It gave its place to another.
      this.#queue.remove(digest);
      this.#queue.add(digest, fetch.priority, true);
    } else {
      this.#paused.delete(digest);
      this.#spaceWaits.remove(fetch);
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
