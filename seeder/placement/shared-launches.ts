/**
 * Launches that schedulers told of, whichever seeder they told: each is written down within a second, and read by the
 * others in the next. What is read heats its node and makes its id known; popularity is shared for itself. A seeder that
 * starts anew reads what it was told before.
 */
import type { Log } from "../../daemon/log.ts";
import { messageOf } from "../../daemon/problem.ts";
import type { Launch, Launches } from "../prefetch/launches.ts";
import type { LaunchRecord, LaunchStore } from "../store/launch-store.ts";
import type { LaunchIds } from "./launch-ids.ts";
import { launchesUnsavedMax, launchIdsKeptMs, launchIdsMax } from "./limits.ts";

/** How often launches are written down, and those of others read. */
const syncIntervalMs = 1_000;
/** How often those that nobody tells again are removed from the store. */
const forgetIntervalMs = 60_000;

export interface SharedLaunchesOptions {
  store: LaunchStore;
  /** Of this process: what an earlier one was told is read like another seeder's. */
  seederId: string;
  /** Whether other seeders use the store, too. */
  isShared: boolean;
  ids: LaunchIds;
  heat: Launches;
  nowMs: () => number;
  log: Log;
}

export class SharedLaunches implements Launches {
  readonly #options: SharedLaunchesOptions;
  #timer: NodeJS.Timeout | undefined;
  #unsaved: LaunchRecord[] = [];
  #mark = 0;
  #forgottenAtMs: number;
  #working: Promise<void> | undefined;
  #failures = 0;

  private constructor(options: SharedLaunchesOptions) {
    this.#options = options;
    this.#forgottenAtMs = options.nowMs();
  }

  /** Takes in what was told lately, to whomever. */
  static async open(options: SharedLaunchesOptions): Promise<SharedLaunches> {
    const { store, nowMs } = options;
    await store.forgetLaunches(nowMs() - launchIdsKeptMs, launchIdsMax);
    const launches = new SharedLaunches(options);
    await launches.#read();
    // Not before: nothing is to be read twice, nor read on if the seeder cannot start.
    launches.#timer = setInterval(() => launches.#turn(), syncIntervalMs);
    return launches;
  }

  /** A scheduler told this seeder of a launch. */
  record({ launchId = "", nodeId, digest, count, atMs }: Launch): void {
    this.#unsaved.push({ launchId, nodeId, digest, count, atMs, toldAtMs: this.#options.nowMs() });
    this.#bound();
  }

  /** Writes down what is not yet written, and reads what others have written. */
  async sync(): Promise<void> {
    const { isShared, nowMs, store } = this.#options;
    await this.#write();
    if (isShared) await this.#read();
    if (nowMs() - this.#forgottenAtMs < forgetIntervalMs) return;
    this.#forgottenAtMs = nowMs();
    await store.forgetLaunches(nowMs() - launchIdsKeptMs, launchIdsMax);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#working;
    await this.#write().catch((error: unknown) => this.#warn(error));
  }

  #turn(): void {
    this.#working ??= this.sync()
      .then(
        () => {
          this.#failures = 0;
        },
        (error: unknown) => this.#warn(error),
      )
      .finally(() => {
        this.#working = undefined;
      });
  }

  async #write(): Promise<void> {
    const { store, seederId } = this.#options;
    const taken = this.#unsaved;
    if (taken.length === 0) return;
    this.#unsaved = [];
    try {
      await store.addLaunches(seederId, taken);
    } catch (error) {
      this.#unsaved = [...taken, ...this.#unsaved];
      this.#bound();
      throw error;
    }
  }

  async #read(): Promise<void> {
    const { store, seederId, ids, heat, nowMs } = this.#options;
    const { launches, mark } = await store.readLaunches(seederId, this.#mark, launchIdsMax);
    this.#mark = mark;
    for (const { launchId, nodeId, digest, count, atMs, toldAtMs } of launches) {
      // The clock of who was told may be ahead of ours.
      if (!ids.add(launchId, Math.min(toldAtMs, nowMs()))) continue;
      heat.record({ nodeId, digest, count, atMs: Math.min(atMs, nowMs()) });
    }
  }

  /** The oldest go first: they say least of the present. */
  #bound(): void {
    if (this.#unsaved.length > launchesUnsavedMax) this.#unsaved = this.#unsaved.slice(-launchesUnsavedMax);
  }

  #warn(error: unknown): void {
    if (this.#failures++ > 0) return;
    this.#options.log.warn({ error: messageOf(error) }, "cannot share launches with other seeders; trying on");
  }
}
