import { setTimeout as delay } from "node:timers/promises";
import type { Log } from "../../daemon/log.ts";
import { messageOf } from "../../daemon/problem.ts";
import type { Image } from "../catalog/image.ts";

/** How often a seeder says that it lives, and looks what others have done. */
const beatIntervalMs = 1_000;

export interface HeartOptions {
  /** Says that this seeder lives, and looks at the others. The version of the catalog. */
  beat: () => Promise<number>;
  /** Takes in what others have changed. All images. */
  refresh: () => Promise<Image[]>;
  /** What follows from all that. */
  act: (images: readonly Image[], signal: AbortSignal) => Promise<void>;
  log: Log;
}

/**
 * Beats until it is closed, and does what follows from each beat beside it, one thing after the other: however long that takes,
 * the seeder is seen to live. A store that does not answer is told of once, and asked on.
 */
export class Heart {
  readonly #options: HeartOptions;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  readonly #begun = Promise.withResolvers<void>();
  #acting: Promise<void> | undefined;
  #images: readonly Image[] = [];
  #version = -1;
  #failures = 0;

  constructor(options: HeartOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  /** It has beaten once, or could not: what this seeder is, others can know from now on. */
  get begun(): Promise<void> {
    return this.#begun.promise;
  }

  async close(): Promise<void> {
    this.#stop.abort(new Error("the seeder is stopping"));
    await this.#running;
    await this.#acting;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        const version = await this.#options.beat();
        this.#acting ??= this.#act(version, signal).finally(() => {
          this.#acting = undefined;
        });
        if (this.#failures > 0)
          this.#options.log.info({ failures: this.#failures }, "the other seeders are seen again");
        this.#failures = 0;
      } catch (error) {
        if (this.#failures++ === 0) {
          this.#options.log.warn({ error: messageOf(error) }, "cannot see the other seeders; looking on");
        }
      }
      this.#begun.resolve();
      await delay(beatIntervalMs, undefined, { signal }).catch(() => {});
    }
  }

  /** Never rejects. */
  async #act(version: number, signal: AbortSignal): Promise<void> {
    const { refresh, act, log } = this.#options;
    try {
      if (version !== this.#version) this.#images = await refresh();
      this.#version = version;
      await act(this.#images, signal);
    } catch (error) {
      if (!signal.aborted) log.warn({ error: messageOf(error) }, "cannot take in what other seeders did; trying again");
    }
  }
}
