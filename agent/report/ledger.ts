/**
 * What the inventory has been told, and so what the next report must say. Pure: reports go in and out as data.
 *
 * While it is in doubt what the inventory knows (at the start, and after a report whose fate is not known), a report asks:
 * it tells nothing but the checksum of all that is held, and follows no other. The inventory, which may know all of it,
 * answers whether it wants a full report.
 */
import { withHash } from "../../daemon/holdings-checksum.ts";

/** Each holding's hash, by digest: two are the same holding if it is the same. */
export type HoldingHashes = ReadonlyMap<string, bigint>;

export interface ReportPlan {
  sequence: number;
  full: boolean;
  /** Digests to describe: all, those added or changed, or none. */
  tell: string[];
  /** Digests no longer held. */
  removed: string[];
  /** Of all that is held. */
  checksum: bigint;
}

export class ReportLedger {
  #sequence = 0;
  /** As of the last report that was taken; otherwise whether a full report is wanted or that is in doubt. */
  #told: HoldingHashes | "wanted" | "doubt" = "doubt";

  /**
   * Plans the next report. One of `taken` and `lost` must follow.
   *
   * @param mayBeFull whether it is time for a full report, if that is wanted; until then reports only ask
   */
  next(held: HoldingHashes, mayBeFull = true): ReportPlan {
    const told = this.#told;
    const checksum = [...held.values()].reduce(withHash, 0n);
    if (told === "wanted" && mayBeFull) {
      return { sequence: ++this.#sequence, full: true, tell: [...held.keys()], removed: [], checksum };
    }
    if (told === "wanted" || told === "doubt") {
      // One number is left out: what tells nothing must not be taken for all that has changed.
      this.#sequence += 2;
      return { sequence: this.#sequence, full: false, tell: [], removed: [], checksum };
    }
    return {
      sequence: ++this.#sequence,
      full: false,
      tell: [...held.keys()].filter((digest) => told.get(digest) !== held.get(digest)),
      removed: [...told.keys()].filter((digest) => !held.has(digest)),
      checksum,
    };
  }

  /** The report was answered. */
  taken(held: HoldingHashes, fullReportWanted: boolean): void {
    this.#told = fullReportWanted ? "wanted" : held;
  }

  /** The report was not answered, so the inventory may have it or not. */
  lost(): void {
    this.#told = "doubt";
  }
}
