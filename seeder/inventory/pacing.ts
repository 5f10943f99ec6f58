/**
 * When nodes report next, and when those that must report in full do so. Many nodes that report often, or many that come
 * back at once, get their answers at a rate that leaves the seeder time for what else is asked of it. Pure; the time comes
 * with each call.
 */
import {
  busyStretchMax,
  crowdStretchMax,
  fullReportBurst,
  fullReportSlotKeptMs,
  fullReportsPerSecondMax,
  progressIntervalMsMax,
  reportsPerSecondMax,
  silentIntervalsMax,
} from "./limits.ts";

/** Shares of the process's time in use above and below which intervals grow and shrink. */
const busyAbove = 0.9;
const idleBelow = 0.7;
/** Fewer reports than that between two looks are not what keeps the process busy. */
const reportsFeltMin = 200;
/** By how much, at each look: nodes that were told a long time will not be heard of for that long. */
const growth = 1.15;
const decay = 0.8;

/** What a node is told. */
export interface Pace {
  /** Longest until the next report; 0: as its own interval says. */
  nextReportMs: number;
  /** How long it counts as up without one. */
  leaseMs: number;
}

/** How long a node rests by itself. */
export function ownIntervalMs(intervalMs: number, fetchesActive: boolean): number {
  return fetchesActive ? Math.min(intervalMs, progressIntervalMsMax) : intervalMs;
}

export class ReportPacing {
  #stretch = 1;
  /** How many times more reports nodes would send at their own intervals than are asked for; 1 or more. */
  #crowding = 1;
  /** Since the last look. */
  #reports = 0;
  #nextSlotAtMs = 0;
  /** When nodes that were told to wait with a full report may send it. */
  readonly #slots = new Map<string, number>();

  /** How many times longer than usual intervals are because the seeder is busy. */
  get stretch(): number {
    return this.#stretch;
  }

  /** How many nodes wait with a full report. */
  get waiting(): number {
    return this.#slots.size;
  }

  /**
   * Takes in how things stand, about once a second.
   *
   * @param busy the share of its time that the process was busy since the last look, 0 to 1; where few reports came in
   *   that time, it is not for them
   * @param demandPerSecond reports that all nodes would send at their own intervals
   */
  observe(busy: number, demandPerSecond: number, nowMs: number): void {
    const grows = busy > busyAbove && this.#reports >= reportsFeltMin;
    this.#reports = 0;
    if (grows) this.#stretch = Math.min(busyStretchMax, this.#stretch * growth);
    else if (busy < idleBelow) this.#stretch = Math.max(1, this.#stretch * decay);
    this.#crowding = Math.min(crowdStretchMax, Math.max(1, demandPerSecond / reportsPerSecondMax));
    for (const [id, atMs] of this.#slots) if (atMs + fullReportSlotKeptMs < nowMs) this.#slots.delete(id);
  }

  /** @param fetchesActive whether the node has progress to tell */
  paceOf(intervalMs: number, fetchesActive: boolean): Pace {
    this.#reports++;
    const ownMs = ownIntervalMs(intervalMs, fetchesActive);
    const nextReportMs = Math.ceil(ownMs * Math.max(this.#stretch, this.#crowding));
    return {
      nextReportMs: nextReportMs > ownMs ? nextReportMs : 0,
      leaseMs: silentIntervalsMax * Math.max(intervalMs, nextReportMs),
    };
  }

  /** How long a node that must report in full is to wait with that. A node that asks again keeps its time. */
  fullReportAfterMs(id: string, nowMs: number): number {
    const known = this.#slots.get(id);
    if (known !== undefined) return Math.max(0, Math.ceil(known - nowMs));
    const slotMs = (1_000 * this.#stretch) / fullReportsPerSecondMax;
    const atMs = Math.max(this.#nextSlotAtMs, nowMs - fullReportBurst * slotMs);
    this.#nextSlotAtMs = atMs + slotMs;
    if (atMs <= nowMs) return 0;
    this.#slots.set(id, atMs);
    return Math.ceil(atMs - nowMs);
  }

  /** A full report has come. */
  fullReportCame(id: string): void {
    this.#slots.delete(id);
  }
}
