/** What a report, or the store, changes of what a node holds; and the checksum of it all. */
import { holdingHash, holdingsChecksum, withHash, withoutHash } from "../../daemon/holdings-checksum.ts";
import { Problem } from "../../daemon/problem.ts";
import type { HoldingFacts, HoldingsChange, NodeReport } from "./facts.ts";
import type { ImageIndex } from "./image-index.ts";
import { holdingsPerNodeMax } from "./limits.ts";
import type { NodeRecord } from "./node-view.ts";

export class NodeHoldings {
  readonly #images: ImageIndex<NodeRecord>;

  constructor(images: ImageIndex<NodeRecord>) {
    this.#images = images;
  }

  /**
   * Takes what a report says, and tells whether that is a change.
   *
   * @throws Problem "exhausted" if it is too many; then nothing is changed.
   */
  take(record: NodeRecord, report: NodeReport): boolean {
    if (report.full) {
      checkCount(report.holdings.length);
      record.checksum = undefined;
      return this.#images.replace(record, report.holdings);
    }
    this.#checkCountAfter(record, report);
    for (const digest of report.removedDigests) subtract(record, this.#images.drop(record, digest));
    for (const holding of report.holdings) {
      subtract(record, this.#images.hold(record, holding));
      if (record.checksum !== undefined) record.checksum = withHash(record.checksum, holdingHash(holding));
    }
    return report.holdings.length > 0 || report.removedDigests.length > 0;
  }

  /** Takes what the store says. */
  learn(record: NodeRecord, holdings: HoldingsChange): void {
    record.checksum = undefined;
    if ("all" in holdings) {
      this.#images.replace(record, holdings.all);
      return;
    }
    for (const digest of holdings.removed) this.#images.drop(record, digest);
    for (const holding of holdings.changed) this.#images.hold(record, holding);
  }

  /** Of all that the node holds. */
  checksumOf(record: NodeRecord): bigint {
    record.checksum ??= holdingsChecksum(this.#images.holdingsOf(record));
    return record.checksum;
  }

  /** Counts what a delta makes of the node's holdings, before anything is changed. */
  #checkCountAfter(record: NodeRecord, { holdings, removedDigests }: NodeReport): void {
    if (record.held.count + holdings.length <= holdingsPerNodeMax) return;
    const isHeld = (digest: string) => {
      const image = this.#images.find(digest);
      return image !== undefined && record.held.rowOf(image.number) >= 0;
    };
    const told = new Set(holdings.map(({ digest }) => digest));
    const added = [...told].filter((digest) => !isHeld(digest));
    const gone = [...new Set(removedDigests)].filter((digest) => isHeld(digest) && !told.has(digest));
    checkCount(record.held.count + added.length - gone.length);
  }
}

function subtract(record: NodeRecord, before: HoldingFacts | undefined): void {
  if (before && record.checksum !== undefined) record.checksum = withoutHash(record.checksum, holdingHash(before));
}

function checkCount(holdings: number): void {
  if (holdings <= holdingsPerNodeMax) return;
  throw new Problem("exhausted", `a node may report ${holdingsPerNodeMax} images at most, not ${holdings}`);
}
