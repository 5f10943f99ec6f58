/**
 * What the inventory has been told, and so what the next report must say. Pure: reports go in and out as data.
 *
 * A full report is due at the start, when the inventory asks for one, and after any report whose fate is not known.
 */

/** A holding's state as one string: two are the same holding if it is the same. */
export type Fingerprints = ReadonlyMap<string, string>;

export interface ReportPlan {
  sequence: number;
  full: boolean;
  /** Digests to describe: all, or those added or changed. */
  tell: string[];
  /** Digests no longer held. */
  removed: string[];
}

export class ReportLedger {
  #sequence = 0;
  /** As of the last report that was taken; undefined while that is in doubt. */
  #told: Fingerprints | undefined;

  /** Plans the next report. One of `taken` and `lost` must follow. */
  next(held: Fingerprints): ReportPlan {
    this.#sequence++;
    const told = this.#told;
    if (!told) return { sequence: this.#sequence, full: true, tell: [...held.keys()], removed: [] };
    return {
      sequence: this.#sequence,
      full: false,
      tell: [...held.keys()].filter((digest) => told.get(digest) !== held.get(digest)),
      removed: [...told.keys()].filter((digest) => !held.has(digest)),
    };
  }

  /** The report was answered. */
  taken(held: Fingerprints, fullReportWanted: boolean): void {
    this.#told = fullReportWanted ? undefined : held;
  }

  /** The report was not answered, so the inventory may have it or not. */
  lost(): void {
    this.#told = undefined;
  }
}
