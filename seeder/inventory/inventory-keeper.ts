/** The inventory with its memory: what reports change is written to the store shortly after, many nodes at a time. */
import type { Log } from "../../daemon/log.ts";
import { messageOf } from "../../daemon/problem.ts";
import type { InventoryStore } from "../store/store.ts";
import type { NodeReport } from "./facts.ts";
import { Inventory } from "./inventory.ts";
import { isActive } from "./node-view.ts";
import { type Pace, ReportPacing } from "./pacing.ts";

/**
 * Changes wait this long for others to be written with them. A crash loses no more than this, and full reports bring
 * it back.
 */
const saveDelayMs = 1_000;
/** Between looks at how busy this process is. */
const loadIntervalMs = 1_000;

/** What a node is told in answer to its report. */
export interface ReportAnswer extends Pace {
  fullReportWanted: boolean;
  fullReportAfterMs: number;
  /** Whether the node's reports and its checksum disagreed. */
  diverged: boolean;
}

export class InventoryKeeper {
  readonly inventory = new Inventory();
  readonly pacing = new ReportPacing();
  readonly #store: InventoryStore;
  readonly #log: Log;
  readonly #nowMs: () => number;
  /** Nodes to save, and whether their holdings have changed. */
  #changed = new Map<string, boolean>();
  #removed = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  #loadTimer: NodeJS.Timeout | undefined;
  #saving: Promise<void> = Promise.resolve();

  private constructor(store: InventoryStore, log: Log, nowMs: () => number) {
    this.#store = store;
    this.#log = log;
    this.#nowMs = nowMs;
  }

  /** Opens the inventory as it was remembered. `nowMs` gives the time since 1970. */
  static async open(store: InventoryStore, log: Log, nowMs: () => number): Promise<InventoryKeeper> {
    const keeper = new InventoryKeeper(store, log, nowMs);
    keeper.inventory.restore(await store.loadNodes());
    keeper.#watchLoad();
    return keeper;
  }

  /**
   * Takes a report in and says what the node is to do next.
   *
   * @throws Problem "exhausted" if a bound is reached.
   */
  report(report: NodeReport): ReportAnswer {
    const { id, name, reportIntervalMs } = report.node;
    const nowMs = this.#nowMs();
    const pace = this.pacing.paceOf(reportIntervalMs, report.fetches.some(isActive));
    const outcome = this.inventory.report(report, nowMs, pace.leaseMs);
    if (report.full) this.pacing.fullReportCame(id);
    if (outcome.diverged) {
      this.#log.warn({ node: id, name, full: report.full }, "a node's holdings were not what its reports had told");
    }
    if (outcome.idShared) {
      this.#log.warn({ node: id, name }, "two agents report under one node id; was a state directory copied?");
    }
    if (outcome.forgottenId !== undefined) {
      this.#log.info({ node: outcome.forgottenId }, "forgot the node that was lost for longest, to make room");
      this.#changed.delete(outcome.forgottenId);
      this.#removed.add(outcome.forgottenId);
    }
    this.#removed.delete(id);
    this.#changed.set(id, outcome.holdingsChanged || this.#changed.get(id) === true);
    this.#timer ??= setTimeout(() => this.#save(), saveDelayMs);
    const { fullReportWanted, diverged } = outcome;
    return {
      ...pace,
      fullReportWanted,
      fullReportAfterMs: fullReportWanted ? this.pacing.fullReportAfterMs(id, nowMs) : 0,
      diverged,
    };
  }

  /** Writes what is not yet written. */
  async close(): Promise<void> {
    clearInterval(this.#loadTimer);
    this.#save();
    await this.#saving;
  }

  /** Has the pace follow how busy this process is. */
  #watchLoad(): void {
    let last = performance.eventLoopUtilization();
    this.#loadTimer = setInterval(() => {
      const now = performance.eventLoopUtilization();
      const { utilization } = performance.eventLoopUtilization(now, last);
      last = now;
      this.pacing.observe(utilization, this.inventory.counts(this.#nowMs()).up, this.#nowMs());
    }, loadIntervalMs);
  }

  #save(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const changed = this.#changed;
    const removed = this.#removed;
    this.#changed = new Map();
    this.#removed = new Set();
    if (changed.size === 0 && removed.size === 0) return;
    const changes = [...changed].flatMap(([id, withHoldings]) => {
      const known = this.inventory.known(id);
      return known ? [{ ...known, holdings: withHoldings ? known.holdings : undefined }] : [];
    });
    this.#saving = this.#saving
      .then(() => this.#store.saveNodes(changes, [...removed]))
      .catch((error: unknown) => {
        this.#log.error({ error: messageOf(error) }, "cannot save the inventory; it lives on in memory");
        // Holdings must come along with the node's next report.
        for (const [id, withHoldings] of changed) {
          if (this.inventory.known(id)) this.#changed.set(id, withHoldings || this.#changed.get(id) === true);
        }
        for (const id of removed) if (!this.inventory.known(id)) this.#removed.add(id);
      });
  }
}
