import { messageOf, Problem } from "../../daemon/problem.ts";
import { type DiskFault, diskFaultOf } from "../cache/disk-fault.ts";
import { diskProblem } from "../cache/disk-space.ts";
import type { AheadTerms, FetchPriority, ImageFacts } from "../cache/records.ts";
import { activityOf } from "./activity.ts";
import { Delivery } from "./delivery.ts";
import { untilDiskTakesMore } from "./disk-recovery.ts";
import { etaSeconds, type FetchState, type FetchView, hasEnded } from "./fetch-view.ts";
import { keepLeftovers } from "./leftovers.ts";
import { FetchPace, RatePace, trickleBytesPerSecond, type WaitingPace } from "./pace.ts";
import { higherPriority } from "./queue.ts";
import { RateMeter } from "./rate-meter.ts";
import type { FetchTools } from "./transfer.ts";

/** Why a fetch is made to end before its time, or to wait for its turn again. */
type Interruption = "cancelled" | "suspended" | "yielded";

export interface FetchOptions {
  facts: ImageFacts;
  /** As asked for; empty if by digest. */
  name: string;
  priority: FetchPriority;
  requestedAt: Date;
  /** On what terms the seeder has it brought ahead of need, if it does. */
  ahead: AheadTerms | undefined;
  /** Of all that is brought ahead of need, together; and whether that leaves the link to others now. */
  pace: WaitingPace;
  isHeldBack: () => boolean;
  /** Whether a VM boots from the image's boot image: the rest of it can wait. */
  isBooting: () => boolean;
  /** Told of every change of state. */
  onState: () => void;
  /** Finds room for what is missing, or says why there is none. */
  lacksRoom: () => Promise<Problem | undefined>;
}

/**
 * One image's way to ready on this node. States: queued -> active -> verifying -> ready, or failed or cancelled from
 * anywhere before; verifying -> active once more when a resumed download proves wrong. A fault of the disk makes it
 * paused; once the disk takes more, it is queued again.
 */
export class Fetch {
  readonly facts: ImageFacts;
  /** The name by which it was asked for; empty if by digest. */
  readonly name: string;
  readonly requestedAt: Date;
  /** Resolves when nothing more will happen. Never rejects. */
  readonly ended: Promise<void>;
  readonly #tools: FetchTools;
  readonly #options: FetchOptions;
  readonly #abort = new AbortController();
  /** Ends when it gives its place to others; new with each start. */
  #turn = new AbortController();
  readonly #delivery: Delivery;
  #ahead: AheadTerms | undefined;
  readonly #rate = new RateMeter();
  readonly #httpRate = new RateMeter();
  readonly #markEnded: () => void;
  #state: FetchState = "queued";
  #priority: FetchPriority;
  #startedAt: Date | undefined;
  #endedAt: Date | undefined;
  #startedMs: number | undefined;
  #error = "";
  #delay = "";
  #fault: DiskFault | undefined;
  /** What a paused fetch waits for. */
  #waitingFor = "";
  /** How often it was paused without a byte having been written between, and how far it was then. */
  #stuck = { times: 0, doneBytes: -1 };

  constructor(tools: FetchTools, asked: FetchOptions) {
    this.#tools = tools;
    this.facts = asked.facts;
    this.name = asked.name;
    this.requestedAt = asked.requestedAt;
    this.#priority = asked.priority;
    this.#options = asked;
    this.#ahead = asked.ahead;
    const own = new RatePace(tools.clock, () => this.#ahead?.bytesPerSecondMax ?? 0);
    const ahead = new FetchPace([asked.pace, own], () => this.#priority === "prefetch");
    const boot = new RatePace(tools.clock, () => (asked.isBooting() ? trickleBytesPerSecond : 0));
    const pace = new FetchPace([ahead, boot], () => true);
    this.#delivery = new Delivery(tools, asked.facts, {
      pace,
      // What comes in order, and can be read only once all of it is here, is not held back while a read waits.
      httpPace: new FetchPace([pace], () => tools.readers?.waitingSinceMs(this.digest) === undefined),
      onStage: (stage) => this.#become(stage),
      onTransfer: asked.onState,
    });
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    this.#markEnded = resolve;
  }

  get digest(): string {
    return this.facts.digest;
  }

  get state(): FetchState {
    return this.#state;
  }

  /** What is wrong with the disk that a paused fetch waits for; undefined if it is not paused. */
  get fault(): DiskFault | undefined {
    return this.#fault;
  }

  /** Whether it is being ended, though something may yet write. */
  get isEnding(): boolean {
    return this.#abort.signal.aborted;
  }

  get priority(): FetchPriority {
    return this.#priority;
  }

  /** On what terms the seeder has it brought ahead of need; undefined if it does not, or somebody has asked for it since. */
  get ahead(): AheadTerms | undefined {
    return this.#priority === "prefetch" ? this.#ahead : undefined;
  }

  /** The seeder has it brought ahead of need on these terms from now on. */
  setAhead(terms: AheadTerms): void {
    this.#ahead = terms;
  }

  /** Seconds from the moment it became active to now or its end; undefined if it never did. */
  get activeSeconds(): number | undefined {
    return this.#startedMs === undefined ? undefined : (this.#tools.clock.now() - this.#startedMs) / 1_000;
  }

  /** Seconds for which an active fetch has received nothing; 0 otherwise. */
  get quietSeconds(): number {
    return this.#state === "active" ? (this.#delivery.progress?.quietMs ?? 0) / 1_000 : 0;
  }

  /** Bytes per second that come by HTTP, averaged over the last few seconds. */
  get httpBytesPerSecond(): number {
    return this.#state === "active" ? this.#httpRate.rate() : 0;
  }

  /**
   * Bytes that need no more room on disk, as far as can be said now. A transfer that the disk has failed, or that was found
   * wrong, says nothing: what it wrote may be gone.
   */
  get placedBytes(): number {
    const { progress, bytes } = this.#delivery;
    return progress || this.#state === "verifying" ? bytes.doneBytes : 0;
  }

  /** Says what it waits for before it may be queued; empty: for an active fetch to end. */
  delay(reason: string): void {
    this.#delay = reason;
  }

  raise(priority: FetchPriority): void {
    this.#priority = higherPriority(this.#priority, priority);
  }

  /** Begins; the queue has given it a place. */
  start(): void {
    // One that is being cancelled may still have its place in the queue.
    if (this.#state !== "queued" || this.#abort.signal.aborted) return;
    this.#startedAt ??= this.#tools.now();
    this.#startedMs ??= this.#tools.clock.now();
    this.#turn = new AbortController();
    this.#delay = "";
    this.#delivery.run(AbortSignal.any([this.#abort.signal, this.#turn.signal])).then(
      () => this.#end("ready"),
      (error: unknown) => this.#settle(error),
    );
  }

  /** Begins by waiting for the disk: a fetch from before a restart that there is no room for, as yet. */
  startPaused(fault: DiskFault, error: unknown, doneBytes: number): void {
    this.#delivery.assume(doneBytes);
    this.#state = "paused";
    void this.#pause(fault, error);
  }

  /** Ends it for good; what has arrived stays on disk. Resolves when nothing writes any more. */
  cancel(): Promise<void> {
    return this.#interrupt("cancelled");
  }

  /** Gives its place to others: it stops, and is queued again once nothing writes any more. What has arrived stays. */
  yieldPlace(): void {
    if (this.#state === "active") this.#turn.abort("yielded" satisfies Interruption);
  }

  /** Stops it because the agent stops: the next start resumes it. */
  suspend(): Promise<void> {
    return this.#interrupt("suspended");
  }

  /** Takes note of how far it is, for the rate; to be called a few times a second. */
  sample(): void {
    if (this.#state !== "active") return;
    const { swarmBytes, httpBytes } = this.#delivery.bytes;
    this.#rate.record(swarmBytes + httpBytes, this.#tools.clock.now());
    this.#httpRate.record(httpBytes, this.#tools.clock.now());
  }

  view(): FetchView {
    const { zeroBytes: _zeroBytes, ...bytes } = this.#delivery.bytes;
    const active = this.#state === "active";
    const bytesPerSecond = active ? this.#rate.rate() : 0;
    const remainingBytes = this.facts.sizeBytes - bytes.doneBytes;
    return {
      digest: this.digest,
      name: this.name,
      state: this.#state,
      priority: this.#priority,
      sizeBytes: this.facts.sizeBytes,
      ...bytes,
      bytesPerSecond,
      etaSeconds: active ? etaSeconds(remainingBytes, bytesPerSecond) : undefined,
      peers: this.#delivery.progress?.peers ?? 0,
      requestedAt: this.requestedAt,
      startedAt: this.#startedAt,
      endedAt: this.#endedAt,
      error: this.#error,
      activity: this.#activity(),
    };
  }

  #activity(): string {
    return activityOf({
      state: this.#state,
      delay: this.#delay,
      waitingFor: this.#waitingFor,
      transfer: this.#delivery.progress?.activity,
      hashedShare: this.#delivery.hashedShare,
      isBooting: this.#options.isBooting(),
      isHeldBack: this.#priority === "prefetch" && this.#options.isHeldBack(),
      damage: this.#tools.cache.get(this.digest)?.record.damage,
    });
  }

  /** Waits until the disk takes more, and then for its turn. Never rejects. */
  async #pause(fault: DiskFault, error: unknown): Promise<void> {
    const { clock, random, cache, log } = this.#tools;
    const { layout } = cache;
    try {
      if (fault === "failing" && this.#state === "verifying") await this.#delivery.doubt();
      else await this.#delivery.leaveSwarm();
    } catch (doubt) {
      log.warn({ digest: this.digest, error: messageOf(doubt) }, "cannot write down which pieces are in doubt");
    }
    const { doneBytes } = this.#delivery.bytes;
    this.#stuck = { times: doneBytes > this.#stuck.doneBytes ? 1 : this.#stuck.times + 1, doneBytes };
    this.#error = messageOf(
      error instanceof Problem ? error : diskProblem(error, `image ${this.digest}`, layout.directory),
    );
    this.#fault = fault;
    this.#become("paused");
    const onWaiting = (activity: string) => {
      this.#waitingFor = activity;
      this.#options.onState();
    };
    const wait = { fault, failures: this.#stuck.times, lacksRoom: this.#options.lacksRoom, onWaiting };
    try {
      await untilDiskTakesMore({ ...wait, layout, clock, random }, this.#abort.signal);
    } catch (interruption) {
      this.#fault = undefined;
      return this.#settle(interruption);
    }
    this.#fault = undefined;
    this.#error = "";
    // It may have been ended in the same moment: nobody else would see to that.
    if (this.#abort.signal.aborted) return this.#settle(this.#abort.signal.reason);
    this.#become("queued");
  }

  async #interrupt(interruption: Interruption): Promise<void> {
    if (!hasEnded(this.#state) && !this.#abort.signal.aborted) {
      this.#abort.abort(interruption);
      if (this.#state === "queued") await this.#settle(interruption);
    }
    await this.ended;
  }

  async #settle(fault: unknown): Promise<void> {
    const diskFault = diskFaultOf(fault);
    if (diskFault) return this.#pause(diskFault, fault);
    if (fault === "suspended") {
      await this.#delivery.leaveSwarm();
      return this.#markEnded();
    }
    if (fault === "yielded") {
      await this.#delivery.leaveSwarm();
      // It may have been ended meanwhile.
      if (this.#abort.signal.aborted) return this.#settle(this.#abort.signal.reason);
      this.#delay = "it gave its place to one that is asked for";
      return this.#become("queued");
    }
    this.#error = fault === "cancelled" ? "" : messageOf(fault);
    await this.#delivery.leaveSwarm();
    await keepLeftovers(this.#tools.cache, this.digest).catch((error: unknown) => {
      this.#tools.log.warn({ digest: this.digest, error: messageOf(error) }, "cannot tidy up after a fetch");
    });
    this.#end(fault === "cancelled" ? "cancelled" : "failed");
  }

  #end(state: FetchState): void {
    this.#endedAt = this.#tools.now();
    this.#become(state);
    this.#markEnded();
  }

  #become(state: FetchState): void {
    this.#state = state;
    this.#options.onState();
  }
}
