/** The dashboard's data, for as long as the seeder runs: one board, brought up to date once a second for all pages. */
import type { Log } from "../../daemon/log.ts";
import { messageOf } from "../../daemon/problem.ts";
import type { WatchResponse } from "../../proto/gen/bootswarm/seeder/v1/dashboard_pb.js";
import { RateMeter } from "../../swarm/rate.ts";
import type { Swarm } from "../../swarm/swarm.ts";
import type { ImageChange } from "../catalog/changes.ts";
import type { NodeReport } from "../inventory/facts.ts";
import type { FallbackBudget } from "../origin/fallback-budget.ts";
import { Board } from "./board.ts";
import type { SeenNode } from "./node-row.ts";
import type { SeederFigures } from "./sums.ts";
import { Watchers } from "./watchers.ts";

/** As often as people can read figures. */
const updateIntervalMs = 1_000;

export interface DashboardParts {
  version: string;
  nodes: (nowMs: number) => Iterable<SeenNode>;
  swarm: Pick<Swarm, "status">;
  fallback: Pick<FallbackBudget, "slotsInUse" | "waiting">;
  fallbackSlots: number;
  watchCatalog: (signal: AbortSignal) => AsyncIterable<ImageChange>;
  nowMs: () => number;
  log: Log;
}

export class Dashboard {
  readonly #parts: DashboardParts;
  readonly #board: Board;
  readonly #watchers = new Watchers();
  readonly #originRate = new RateMeter(performance.now());
  readonly #closing = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #catalogWatched: Promise<void>;

  constructor(parts: DashboardParts) {
    this.#parts = parts;
    this.#board = new Board(parts.version);
    this.#catalogWatched = this.#watchCatalog();
    this.#timer = setInterval(() => this.#update(), updateIntervalMs);
    this.#update();
  }

  /** Told of every report that was taken. */
  reported(report: NodeReport): void {
    this.#board.reported(report, this.#parts.nowMs());
  }

  /** Told of image bytes that are sent by HTTP. */
  originSent(bytes: number): void {
    this.#originRate.add(bytes, performance.now());
  }

  /**
   * All of the board, then its changes, until `signal` aborts.
   *
   * @throws Problem "exhausted" or "unavailable", as Watchers says.
   */
  watch(signal: AbortSignal): AsyncIterable<WatchResponse> {
    return this.#watchers.watch(() => this.#board.snapshot(), AbortSignal.any([signal, this.#closing.signal]));
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#closing.abort();
    await this.#catalogWatched;
  }

  #update(): void {
    const { nodes, nowMs, log } = this.#parts;
    try {
      const now = nowMs();
      this.#watchers.publish(this.#board.update(nodes(now), this.#figures(), now));
    } catch (error) {
      log.error({ error: messageOf(error) }, "the dashboard could not be brought up to date");
    }
  }

  #figures(): SeederFigures {
    const { swarm, fallback, fallbackSlots } = this.#parts;
    const { upBytesPerSecond, peers } = swarm.status();
    return {
      swarmBytesPerSecond: upBytesPerSecond,
      httpBytesPerSecond: this.#originRate.bytesPerSecond(performance.now()),
      peers,
      fallbackSlotsInUse: fallback.slotsInUse,
      fallbackSlots,
      fallbackWaiting: fallback.waiting,
    };
  }

  async #watchCatalog(): Promise<void> {
    const { watchCatalog, nowMs, log } = this.#parts;
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        for await (const change of watchCatalog(signal)) this.#board.catalogChanged(change, nowMs());
      } catch (error) {
        if (signal.aborted) return;
        log.warn({ error: messageOf(error) }, "the dashboard lost sight of the catalog; looking again");
        await new Promise<void>((resolve) => {
          const again = () => {
            clearTimeout(timer);
            signal.removeEventListener("abort", again);
            resolve();
          };
          const timer = setTimeout(again, updateIntervalMs);
          signal.addEventListener("abort", again, { once: true });
        });
      }
    }
  }
}
