import { Problem } from "../../daemon/problem.ts";
import type { Image } from "./image.ts";

/** What happened to an image; "exists" opens a watch. */
export interface ImageChange {
  kind: "exists" | "published" | "changed" | "retired";
  /** The image as it is now; a retired one has no names. */
  image: Image;
}

/** Changes kept for a watcher that reads slower than they come; beyond it the watch ends. */
const changesQueuedMax = 4_096;
/** Watchers at once: every agent of a large site, and some. */
const watchersMax = 20_000;

interface Watcher {
  queue: ImageChange[];
  overrun: boolean;
  wake: () => void;
}

/** Tells every watcher of every change, in order. */
export class ChangeFeed {
  readonly #watchers = new Set<Watcher>();

  publish(change: ImageChange): void {
    for (const watcher of this.#watchers) {
      if (watcher.queue.length >= changesQueuedMax) watcher.overrun = true;
      else watcher.queue.push(change);
      watcher.wake();
    }
  }

  /**
   * Changes from this call on, until `signal` aborts.
   *
   * @throws Problem "exhausted" if there are too many watchers; while iterating, "unavailable" if this one fell behind.
   */
  subscribe(signal: AbortSignal): AsyncIterable<ImageChange> {
    if (this.#watchers.size >= watchersMax) throw new Problem("exhausted", `${watchersMax} watches are open already`);
    const watcher: Watcher = { queue: [], overrun: false, wake: () => {} };
    this.#watchers.add(watcher);
    const end = () => {
      this.#watchers.delete(watcher);
      watcher.wake();
    };
    if (signal.aborted) end();
    else signal.addEventListener("abort", end, { once: true });
    return this.#changes(watcher, signal, end);
  }

  async *#changes(watcher: Watcher, signal: AbortSignal, end: () => void): AsyncIterable<ImageChange> {
    try {
      while (!signal.aborted) {
        if (watcher.overrun) throw new Problem("unavailable", "this watch fell behind the changes; watch again");
        const change = watcher.queue.shift();
        if (change) yield change;
        else {
          await new Promise<void>((resolve) => {
            watcher.wake = resolve;
          });
        }
      }
    } finally {
      signal.removeEventListener("abort", end);
      end();
    }
  }
}
