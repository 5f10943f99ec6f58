/** The inventory with its memory: what reports change goes to the store, and what others were told comes from there. */
import { randomBytes } from "node:crypto";
import type { Log } from "../../daemon/log.ts";
import type { InventoryStore } from "../store/inventory-store.ts";
import type { NodeReport } from "./facts.ts";
import { Inventory, type ReportOutcome } from "./inventory.ts";
import { isActive } from "./node-view.ts";
import { type Pace, ReportPacing } from "./pacing.ts";
import { type StoreObserver, StoreSync } from "./store-sync.ts";

/** Between looks at how busy this process is. */
const loadIntervalMs = 1_000;

export interface InventoryKeeperParts {
  store: InventoryStore;
  observer: StoreObserver;
  log: Log;
  /** The time since 1970. */
  nowMs: () => number;
}

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
  readonly #log: Log;
  readonly #nowMs: () => number;
  #sync!: StoreSync;
  #loadTimer: NodeJS.Timeout | undefined;

  private constructor({ log, nowMs }: InventoryKeeperParts) {
    this.#log = log;
    this.#nowMs = nowMs;
  }

  /** Opens the inventory as it was remembered. */
  static async open(parts: InventoryKeeperParts): Promise<InventoryKeeper> {
    const keeper = new InventoryKeeper(parts);
    const seederId = randomBytes(8).toString("hex");
    keeper.#sync = await StoreSync.open({ ...parts, inventory: keeper.inventory, seederId });
    keeper.#watchLoad();
    return keeper;
  }

  /** The inventory's store, as far as others need to know of it. */
  get saving(): Pick<StoreSync, "trouble" | "unsavedNodes" | "behindMs"> {
    return this.#sync;
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
      this.#sync.forgotten(outcome.forgottenId);
    }
    this.#sync.changed(id, holdingsTouched(report, outcome));
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
    await this.#sync.close();
  }

  /** Has the pace follow how busy this process is. */
  #watchLoad(): void {
    let last = performance.eventLoopUtilization();
    this.#loadTimer = setInterval(() => {
      const now = performance.eventLoopUtilization();
      const { utilization } = performance.eventLoopUtilization(now, last);
      last = now;
      this.pacing.observe(utilization, this.inventory.demandHere(this.#nowMs()), this.#nowMs());
    }, loadIntervalMs);
  }
}

/** Which holdings in the store are not what they are here any more. */
function holdingsTouched(report: NodeReport, outcome: ReportOutcome): "all" | string[] {
  // What came from the store may have changed there since: it is only sure where the node's checksum said so.
  if (report.full) return outcome.holdingsChanged || outcome.tookOver ? "all" : [];
  return outcome.holdingsChanged ? [...report.holdings.map(({ digest }) => digest), ...report.removedDigests] : [];
}
