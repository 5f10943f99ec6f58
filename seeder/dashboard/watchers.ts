/** Tells every open page of every change of the board, in order, within bounds. */
import { Problem } from "../../daemon/problem.ts";
import type { WatchResponse } from "../../proto/gen/bootswarm/seeder/v1/dashboard_pb.js";
import { changesQueuedMax, watchersMax } from "./limits.ts";

interface Watcher {
  queue: WatchResponse[];
  behind: boolean;
  wake: () => void;
}

export class Watchers {
  readonly #watchers = new Set<Watcher>();

  get count(): number {
    return this.#watchers.size;
  }

  publish(message: WatchResponse): void {
    for (const watcher of this.#watchers) {
      if (watcher.queue.length >= changesQueuedMax) watcher.behind = true;
      else watcher.queue.push(message);
      watcher.wake();
    }
  }

  /**
   * The messages of `start`, then every change, until `signal` aborts.
   *
   * @throws Problem "exhausted" if too many pages are open; "unavailable" if this one fell behind.
   */
  async *watch(start: () => WatchResponse[], signal: AbortSignal): AsyncIterable<WatchResponse> {
    if (this.#watchers.size >= watchersMax) {
      throw new Problem("exhausted", `${watchersMax} dashboards are open already; close one`);
    }
    const watcher: Watcher = { queue: [], behind: false, wake: () => {} };
    this.#watchers.add(watcher);
    const wake = () => watcher.wake();
    signal.addEventListener("abort", wake, { once: true });
    try {
      // Taken in the same turn in which the watcher was added: no change is missed or told twice.
      yield* start();
      while (!signal.aborted) {
        if (watcher.behind)
          throw new Problem("unavailable", "this dashboard fell behind the changes; it must start anew");
        const message = watcher.queue.shift();
        if (message) yield message;
        else {
          await new Promise<void>((resolve) => {
            watcher.wake = resolve;
          });
        }
      }
    } finally {
      signal.removeEventListener("abort", wake);
      this.#watchers.delete(watcher);
    }
  }
}
