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

/** Beats until it is closed. A store that does not answer is told of once, and asked on. */
export class Heart {
  readonly #options: HeartOptions;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;

  constructor(options: HeartOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  async close(): Promise<void> {
    this.#stop.abort(new Error("the seeder is stopping"));
    await this.#running;
  }

  async #run(): Promise<void> {
    const { beat, refresh, act, log } = this.#options;
    const { signal } = this.#stop;
    let version = -1;
    let images: readonly Image[] = [];
    for (let failures = 0; !signal.aborted; ) {
      try {
        const now = await beat();
        if (now !== version) images = await refresh();
        version = now;
        await act(images, signal);
        if (failures > 0) log.info({ failures }, "the other seeders are seen again");
        failures = 0;
      } catch (error) {
        if (failures++ === 0) log.warn({ error: messageOf(error) }, "cannot see the other seeders; looking on");
      }
      await delay(beatIntervalMs, undefined, { signal }).catch(() => {});
    }
  }
}
