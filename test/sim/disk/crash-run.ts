/**
 * A fetch that is crashed again and again, by the death of the process or a loss of power, and what must be true: no
 * record speaks of what is not there, nothing that was recorded is lost, only what came just before a crash is fetched
 * again, and the image is right in the end.
 */
import type { Bitfield } from "../../../swarm/bitfield.ts";
import { EventQueue } from "../event-queue.ts";
import { Random } from "../random.ts";
import { bootAgent, type SimAgent, type SimWorld, stateDirectory } from "./agent.ts";
import { SimDisk } from "./disk.ts";
import { makeImage, type SimImage } from "./images.ts";
import { believedPieces, falseClaims, recordOf } from "./look.ts";

/** Crashes of one fetch, unless asked otherwise; one more comes when it is done. */
export const crashesOfARun = 5;
/** A fetch takes some seconds; a crash may come at any moment of it, of the start, or after the end. */
const lifeMsMax = 4_000;
/** No fetch takes longer, crashed by nothing. */
const fetchMsMax = 60_000;
/** What the death of the process may lose: pieces that came this shortly before. Notes go by group. */
const killLossMs = 80;
/** What a loss of power may lose: a group that is synced once a second, and what a start looks at before it is recorded. */
const powerLossMs = 1_500;

export interface CrashReport {
  seed: number;
  kills: number;
  powerLosses: number;
  pieceCount: number;
  piecesFetched: number;
  /** Pieces that came more than once, beyond removals. */
  fetchedTwice: number;
  /** Most of them for one crash. */
  fetchedTwiceMax: number;
  violations: string[];
}

interface Crash {
  atMs: number;
  isPower: boolean;
  bootedAtMs: number;
  believed: Bitfield;
  fetchedTwice: number;
}

/** Crashes a fetch so many times. */
export async function runCrashes(seed: number, crashCount: number): Promise<CrashReport> {
  return new CrashRun(seed).run(crashCount);
}

class CrashRun {
  readonly #random: Random;
  readonly #queue = new EventQueue();
  readonly #disk: SimDisk;
  readonly #image: SimImage;
  readonly #world: SimWorld;
  readonly #crashes: Crash[] = [];
  readonly #cameAtMs = new Map<number, number>();
  readonly #report: CrashReport;
  #bootedAtMs = 0;
  #isRemoving = false;

  constructor(seed: number) {
    this.#random = new Random(seed);
    this.#disk = new SimDisk(this.#queue, this.#random.fork());
    this.#disk.makeDirectory(stateDirectory);
    this.#image = makeImage(this.#random, "image", this.#random.whole(10, 40));
    this.#world = {
      ...{ queue: this.#queue, disk: this.#disk, random: this.#random.fork(), images: [this.#image] },
      onPiece: (_image, index) => this.#onPiece(index),
    };
    const pieceCount = this.#image.info?.pieceCount ?? 0;
    const counts = { kills: 0, powerLosses: 0, piecesFetched: 0, fetchedTwice: 0, fetchedTwiceMax: 0 };
    this.#report = { seed, pieceCount, ...counts, violations: [] };
  }

  async run(crashCount: number): Promise<CrashReport> {
    for (let crash = 0; crash < crashCount; crash++) {
      const endMs = this.#queue.nowMs + this.#random.between(0, lifeMsMax);
      await this.#live(() => this.#queue.nowMs >= endMs);
      this.#crash(this.#random.chance(0.6));
    }
    const isDone = () => recordOf(this.#disk, this.#image)?.completedAt != null;
    const endMs = this.#queue.nowMs + fetchMsMax;
    await this.#live(() => isDone() || this.#queue.nowMs > endMs);
    if (!isDone()) this.#report.violations.push("the fetch never came to its end");
    // What is ready is so for good, once somebody was told.
    await this.#pass(100);
    this.#crash(true);
    await this.#boot();
    if (!isDone()) this.#report.violations.push("a complete image was lost with the power");
    this.#report.fetchedTwiceMax = Math.max(0, ...this.#crashes.map(({ fetchedTwice }) => fetchedTwice));
    return this.#report;
  }

  /** Starts an agent and has it fetch the image, with other things going on, until the end comes. */
  async #live(isOver: () => boolean): Promise<void> {
    const agent = await this.#boot(isOver);
    if (!agent) return;
    // A process that dies in the midst of something never hears of its end.
    this.#ensure(agent);
    while (!isOver()) {
      const nextMs = this.#queue.nowMs + this.#random.between(50, 2_000);
      await this.#queue.run(() => isOver() || this.#queue.nowMs >= nextMs);
      if (!isOver()) this.#disturb(agent);
    }
    agent.die();
  }

  #ensure({ images }: SimAgent): void {
    images.ensure(this.#image.facts.digest, "ensure").catch((error: unknown) => this.#unexpected(error));
  }

  /** Uses, pins or, seldom, removes the image. */
  #disturb(agent: SimAgent): void {
    const { images } = agent;
    const { digest } = this.#image.facts;
    const die = this.#random.next();
    if (die < 0.1) {
      this.#isRemoving = true;
      const removed = () => {
        this.#forget();
        this.#ensure(agent);
      };
      images.remove(digest).then(removed, removed);
    } else if (die < 0.4) {
      // It may not be complete, or gone.
      images.setPinned(digest, this.#random.chance(0.3)).catch(() => {});
    } else {
      this.#ensure(agent);
    }
  }

  async #boot(isOver: () => boolean = () => false): Promise<SimAgent | undefined> {
    let agent: SimAgent | undefined;
    this.#bootedAtMs = this.#queue.nowMs;
    bootAgent(this.#world).then(
      (booted) => {
        agent = booted;
      },
      (error: unknown) => this.#unexpected(error),
    );
    await this.#queue.run(() => agent !== undefined || isOver());
    if (!agent && !isOver()) this.#report.violations.push("the agent did not start");
    return agent;
  }

  async #pass(delayMs: number): Promise<void> {
    let isOver = false;
    this.#queue.after(delayMs, () => {
      isOver = true;
    });
    await this.#queue.run(() => isOver);
  }

  #crash(isPower: boolean): void {
    const before = believedPieces(this.#disk, this.#image);
    if (isPower) this.#disk.losePower();
    else this.#disk.kill();
    this.#report[isPower ? "powerLosses" : "kills"]++;
    const believed = believedPieces(this.#disk, this.#image);
    const { violations } = this.#report;
    for (const claim of falseClaims(this.#disk, this.#image)) violations.push(`after crash ${this.#name}: ${claim}`);
    const { removed } = before.changesTo(believed);
    if (this.#isRemoving) this.#forget();
    else if (removed.length > 0) violations.push(`crash ${this.#name} lost recorded pieces: ${removed}`);
    this.#crashes.push({ atMs: this.#queue.nowMs, isPower, bootedAtMs: this.#bootedAtMs, believed, fetchedTwice: 0 });
  }

  /** The image was removed, or half so: what comes from now on comes for the first time. */
  #forget(): void {
    this.#isRemoving = false;
    this.#cameAtMs.clear();
    this.#crashes.length = 0;
  }

  get #name(): string {
    return `${this.#report.kills + this.#report.powerLosses}`;
  }

  #onPiece(index: number): void {
    const cameAtMs = this.#cameAtMs.get(index);
    this.#report.piecesFetched++;
    this.#cameAtMs.set(index, this.#queue.nowMs);
    if (cameAtMs === undefined) return;
    this.#report.fetchedTwice++;
    const culprit = this.#crashes.find((crash) => mayLose(crash, index, cameAtMs));
    if (culprit) culprit.fetchedTwice++;
    else this.#report.violations.push(`piece ${index}, here since ${cameAtMs} ms, came again at ${this.#queue.nowMs}`);
  }

  #unexpected(error: unknown): void {
    this.#report.violations.push(`unexpected: ${(error as Error).stack}`);
  }
}

/** Whether a piece that came then may have been lost in the crash. */
function mayLose({ atMs, isPower, bootedAtMs, believed }: Crash, index: number, cameAtMs: number): boolean {
  if (cameAtMs > atMs || believed.has(index)) return false;
  if (!isPower) return cameAtMs > atMs - killLossMs;
  return cameAtMs > atMs - powerLossMs || bootedAtMs > atMs - powerLossMs;
}
