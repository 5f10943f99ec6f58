/**
 * Random things done to an agent and its disk, against a small model of what must hold: what is complete is right, stays
 * through every crash, and goes only by removal or eviction; what is pinned or held stays; no record speaks of bytes that
 * are not there; what a scrub finds wrong is not complete until it is right; images keep within the quota; and when the
 * faults are over, every image can be had.
 */
import { EventQueue } from "../event-queue.ts";
import { Random } from "../random.ts";
import { bootAgent, prefetchGraceMs, type SimAgent, type SimWorld, stateDirectory } from "./agent.ts";
import { SimDisk } from "./disk.ts";
import { makeImage, type SimImage } from "./images.ts";
import { falseClaims, pathsOf } from "./look.ts";
import { blockBytes } from "./nodes.ts";

export const stepsOfARun = 40;
const stepMsMax = 1_500;
/** Long enough for a fetch that waits for the disk, and for what waits for it. */
const recoveryMsMax = 300_000;
const fetchTriesMax = 3;

export interface ModelReport {
  seed: number;
  /** How often each thing was done. */
  done: Record<string, number>;
  piecesFetched: number;
  violations: string[];
}

/** What the model knows of an image. */
interface Known {
  image: SimImage;
  /** Acknowledged; undefined while an answer is due, or was lost. */
  pinned: boolean | undefined;
  /** A bit was flipped or a file cut, and the agent has not started over with it since. */
  isDamaged: boolean;
  /** How often it was damaged. */
  damages: number;
  /** It is being removed or pinned. */
  isBusy: boolean;
  release: (() => void) | undefined;
}

export function runModel(seed: number): Promise<ModelReport> {
  return new ModelRun(seed).run();
}

class ModelRun {
  readonly #random: Random;
  readonly #queue = new EventQueue();
  readonly #disk: SimDisk;
  readonly #known: Known[];
  readonly #world: SimWorld;
  readonly #report: ModelReport;
  readonly #quotaBytes: number;
  #agent!: SimAgent;

  constructor(seed: number) {
    this.#random = new Random(seed);
    this.#disk = new SimDisk(this.#queue, this.#random.fork());
    this.#disk.makeDirectory(stateDirectory);
    const images = [0, 1, 2, 3].map((n) => makeImage(this.#random, `image-${n}`, this.#random.whole(3, 24), n > 0));
    this.#known = images.map((image) => ({
      ...{ image, pinned: false, isDamaged: false, damages: 0, isBusy: false, release: undefined },
    }));
    this.#report = { seed, done: {}, piecesFetched: 0, violations: [] };
    // Room for the largest, and for some of the others.
    const sizes = images.map(({ bytes }) => Math.ceil(bytes.length / blockBytes + 1) * blockBytes);
    const all = sizes.reduce((sum, size) => sum + size, 0);
    this.#quotaBytes = Math.floor(this.#random.between(Math.max(...sizes), all * 1.2));
    this.#world = {
      ...{ queue: this.#queue, disk: this.#disk, random: this.#random.fork(), images, quotaBytes: this.#quotaBytes },
      onPiece: () => this.#report.piecesFetched++,
    };
  }

  async run(): Promise<ModelReport> {
    await this.#boot();
    for (let step = 0; step < stepsOfARun && this.#report.violations.length === 0; step++) {
      await this.#step();
      await this.#pass(this.#random.between(0, stepMsMax));
      this.#check(`step ${step}`);
    }
    if (this.#report.violations.length === 0) await this.#recover();
    return this.#report;
  }

  // --- what is done

  async #step(): Promise<void> {
    const known = this.#random.pick(this.#known);
    const things: [string, number, () => Promise<void> | void][] = [
      ["ensure", 30, () => this.#ensure(known)],
      ["remove", 6, () => this.#remove(known)],
      ["cancel", 4, () => this.#cancel(known)],
      ["pin", 6, () => this.#pin(known, true)],
      ["unpin", 8, () => this.#pin(known, false)],
      ["hold", 5, () => this.#hold(known)],
      ["let go", 6, () => this.#letGo(known)],
      ["fill the disk", 4, () => this.#fill()],
      ["free the disk", 8, () => this.#free()],
      ["fail", 8, () => this.#fail()],
      ["mend", 6, () => this.#mend()],
      ["flip a bit", 3, () => this.#flip(known)],
      ["scrub", 6, () => this.#scrub(known)],
      ["restart", 4, () => this.#restart()],
      ["kill", 6, () => this.#crash("kill")],
      ["lose power", 6, () => this.#crash("losePower")],
      ["damage a file", 4, () => this.#damage(known)],
    ];
    const all = things.flatMap((thing) => Array.from({ length: thing[1] }, () => thing));
    const [name, , act] = this.#random.pick(all);
    this.#count(name);
    await act();
  }

  #ensure({ image }: Known): void {
    const priority = this.#random.pick(["prefetch", "ensure", "demand"] as const);
    // Refused for want of room, or the disk's fault: that is an answer too.
    this.#agent.images.ensure(image.facts.digest, priority).catch(() => {});
  }

  #remove(known: Known): void {
    known.isBusy = true;
    const done = this.#whileAlive(() => {
      known.isBusy = false;
    });
    this.#agent.images.remove(known.image.facts.digest).then(done, done);
  }

  #cancel({ image }: Known): void {
    this.#agent.images.cancelFetch(image.facts.digest).catch(() => {});
  }

  #pin(known: Known, pinned: boolean): void {
    if (!this.#agent.cache.get(known.image.facts.digest)?.complete || known.isBusy) return;
    known.pinned = undefined;
    known.isBusy = true;
    const done = (isDone: boolean) =>
      this.#whileAlive(() => {
        known.pinned = isDone ? pinned : undefined;
        known.isBusy = false;
      });
    this.#agent.images.setPinned(known.image.facts.digest, pinned).then(done(true), done(false));
  }

  #hold(known: Known): void {
    const { digest } = known.image.facts;
    if (known.isBusy || !this.#agent.cache.get(digest)?.complete) return;
    known.release ??= this.#agent.inUse.hold(digest, "the model");
  }

  #letGo(known: Known): void {
    known.release?.();
    known.release = undefined;
  }

  #fill(): void {
    this.#disk.capacityBytes = this.#disk.usedBytes + this.#random.whole(0, 20) * blockBytes;
  }

  #free(): void {
    this.#disk.capacityBytes = Number.POSITIVE_INFINITY;
  }

  #fail(): void {
    const share = () => this.#random.pick([0, 5, 40]);
    this.#disk.faults = { shortWrite: 20, readError: share(), writeError: share(), syncError: share() };
  }

  #mend(): void {
    this.#disk.faults = { shortWrite: 10, readError: 0, writeError: 0, syncError: 0 };
  }

  /** What is wrong at the start of a check is found by it, and from then on the image is damaged, right, or gone. */
  #scrub(known: Known): void {
    const { cache } = this.#agent;
    const { digest, names } = known.image.facts;
    const { isDamaged, damages } = known;
    if (!cache.get(digest)?.complete) return;
    const isRight = () => this.#disk.peek(pathsOf(known.image).data)?.equals(known.image.bytes) === true;
    const wasRight = isRight();
    const judge = this.#whileAlive(() => {
      if (known.damages !== damages || isRight() || wasRight) return;
      if (cache.get(digest)?.complete) this.#violate(`${names[0]} was scrubbed, is wrong, and still complete`);
      else if (isDamaged) this.#count("damage found");
    });
    // It may go, or the disk may keep the damage from being written down.
    this.#agent.scrub(digest).then(judge, () => {});
  }

  #flip(known: Known): void {
    known.isDamaged = true;
    known.damages++;
    this.#disk.flip(pathsOf(known.image).data, this.#random.below(known.image.bytes.length));
  }

  async #restart(): Promise<void> {
    let isClosed = false;
    void this.#agent.close().then(() => {
      isClosed = true;
    });
    await this.#queue.run(() => isClosed);
    if (!isClosed) this.#violate("the agent did not stop");
    await this.#crash("kill");
  }

  async #crash(how: "kill" | "losePower"): Promise<void> {
    await this.#down(how);
    await this.#boot();
  }

  /** Spoils a file of an image while nobody looks. */
  async #damage(known: Known): Promise<void> {
    await this.#down("kill");
    const paths = pathsOf(known.image);
    const kind = this.#random.pick(["record", "have", "metainfo", "used", "data"] as const);
    const there = this.#disk.peek(paths[kind]);
    if (there) {
      if (kind === "data") {
        known.isDamaged = true;
        known.damages++;
      }
      if (kind === "used") known.pinned = undefined;
      const cut = there.subarray(0, this.#random.below(there.length + 1));
      const garbage = Buffer.concat([cut.subarray(0, cut.length >> 1), this.#random.bytes(there.length >> 1)]);
      this.#disk.meddle(
        paths[kind],
        this.#random.pick(kind === "data" ? [cut, cut, undefined] : [cut, garbage, undefined]),
      );
      // Its directory is named after it, but a record may be all that says of what it was a part.
      if (kind === "record") known.pinned = undefined;
    }
    await this.#boot();
  }

  // --- what must hold

  /** Ends the process, and remembers what has to be there after. */
  async #down(how: "kill" | "losePower"): Promise<void> {
    const { cache, fetches } = this.#agent;
    if (fetches.current().some(({ digest }) => cache.get(digest)?.record.damage)) this.#count(`${how} in a repair`);
    const complete = this.#known.filter(({ image, isBusy }) => !isBusy && cache.get(image.facts.digest)?.complete);
    this.#agent.die();
    this.#disk[how]();
    for (const known of this.#known) {
      if (known.isBusy) known.pinned = undefined;
      known.isBusy = false;
      known.release = undefined;
      for (const claim of known.isDamaged ? [] : falseClaims(this.#disk, known.image))
        this.#violate(`after ${how}: ${claim}`);
    }
    for (const { image, isDamaged } of complete) {
      const bytes = this.#disk.peek(pathsOf(image).data);
      // What was being evicted may be gone.
      const isWhole = bytes === undefined || bytes.equals(image.bytes);
      if (!isDamaged && !isWhole) this.#violate(`${how} damaged ${image.facts.names[0]}, which was complete`);
    }
  }

  async #boot(): Promise<void> {
    const faults = this.#disk.faults;
    this.#mend();
    const before = this.#disk.capacityBytes;
    let agent: SimAgent | undefined;
    bootAgent(this.#world).then(
      (booted) => {
        agent = booted;
      },
      (error: unknown) => this.#violate(`the agent does not start: ${(error as Error).stack}`),
    );
    await this.#queue.run(() => agent !== undefined || this.#report.violations.length > 0);
    this.#disk.faults = faults;
    this.#disk.capacityBytes = before;
    if (agent) this.#agent = agent;
    else this.#violate("the agent does not start");
    this.#check("the start");
  }

  #check(when: string): void {
    const { cache } = this.#agent;
    let allocatedBytes = 0;
    for (const known of this.#known) {
      const { image, isBusy, release } = known;
      const name = image.facts.names[0];
      const entry = cache.get(image.facts.digest);
      const bytes = this.#disk.peek(pathsOf(image).data);
      const isRight = bytes?.equals(image.bytes) === true;
      // What was damaged may have been taken away, pinned or not.
      if (!entry && known.isDamaged) known.pinned = false;
      if (!entry || (entry.complete && isRight)) known.isDamaged = false;
      const { pinned } = known;
      if (!known.isDamaged) {
        if (entry?.complete && !isRight) this.#violate(`${when}: ${name} is complete, and its bytes are wrong`);
        for (const claim of falseClaims(this.#disk, image)) this.#violate(`${when}: ${claim}`);
        const isHere = entry?.complete || entry?.record.damage !== undefined;
        if (!isHere && !isBusy && (pinned || release)) {
          this.#violate(`${when}: ${name} was ${pinned ? "pinned" : "held"}, and is not complete`);
        }
        if (entry && pinned !== undefined && !isBusy && entry.complete && entry.used.pinned !== pinned) {
          this.#violate(`${when}: ${name} is ${pinned ? "not " : ""}pinned`);
        }
      }
      if (!entry) known.pinned = isBusy ? known.pinned : false;
      allocatedBytes += this.#disk.allocatedBytesOf(pathsOf(image).data);
    }
    if (allocatedBytes > this.#quotaBytes) {
      this.#violate(`${when}: images take ${allocatedBytes} bytes, and the quota is ${this.#quotaBytes}`);
    }
  }

  /** The faults are over: every image can be had, and is right. */
  async #recover(): Promise<void> {
    this.#mend();
    this.#free();
    await this.#pass(2 * prefetchGraceMs);
    for (const known of this.#known) {
      this.#letGo(known);
      await this.#settle(known, () => this.#agent.images.setPinned(known.image.facts.digest, false));
      // Nobody has looked for flipped bits.
      if (known.isDamaged) await this.#settle(known, () => this.#agent.scrub(known.image.facts.digest));
    }
    // What was repaired has its grace anew.
    await this.#queue.run(() => this.#agent.fetches.current().length === 0);
    await this.#pass(2 * prefetchGraceMs);
    for (const known of this.#known) {
      await this.#have(known);
      this.#check("the end");
      if (known.isDamaged) this.#violate(`the end: ${known.image.facts.names[0]} is still damaged`);
    }
  }

  async #have(known: Known): Promise<void> {
    const { digest, names } = known.image.facts;
    const isHere = () => this.#agent.cache.get(digest)?.complete === true;
    let trouble = "";
    for (let tries = 0; tries < fetchTriesMax && !isHere(); tries++) {
      const error = await this.#settle(known, () => this.#agent.images.ensure(digest, "ensure"));
      const endMs = this.#queue.nowMs + recoveryMsMax;
      await this.#queue.run(() => isHere() || !this.#agent.fetches.get(digest) || this.#queue.nowMs > endMs);
      trouble = String(error ?? this.#agent.fetches.list().find((fetch) => fetch.digest === digest)?.error);
      // Another may have to end before there is room.
      if (!isHere())
        await this.#queue.run(() => this.#agent.fetches.current().length === 0 || this.#queue.nowMs > endMs);
    }
    if (!isHere()) this.#violate(`the end: ${names[0]} cannot be had: ${trouble}`);
  }

  /** Waits for an answer; the error, if that is what it is. */
  async #settle(known: Known, ask: () => Promise<unknown>): Promise<unknown> {
    let isSettled = false;
    let error: unknown;
    known.pinned = undefined;
    void ask()
      .catch((fault: unknown) => {
        error = fault;
      })
      .finally(() => {
        isSettled = true;
      });
    await this.#queue.run(() => isSettled);
    return error;
  }

  async #pass(delayMs: number): Promise<void> {
    let isOver = false;
    this.#queue.after(delayMs, () => {
      isOver = true;
    });
    await this.#queue.run(() => isOver);
  }

  /** For answers: those to a process that has died since are heard by nobody. */
  #whileAlive(run: () => void): () => void {
    const agent = this.#agent;
    return () => (agent === this.#agent ? run() : undefined);
  }

  #count(what: string): void {
    this.#report.done[what] = (this.#report.done[what] ?? 0) + 1;
  }

  #violate(what: string): void {
    this.#report.violations.push(what);
  }
}
