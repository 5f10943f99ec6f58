/** What is known of nodes and not yet in the store: which nodes, and which of their holdings. Pure, and bounded by the inventory. */

import { nodesMax } from "./limits.ts";

/** Digests noted of one node; beyond it all of its holdings are written. */
const digestsPerNodeMax = 1_000;

/** A node's holdings that are to be written: all, or those of these digests, as they are when that happens. */
export type UnsavedHoldings = "all" | ReadonlySet<string>;

export class Unsaved {
  readonly #nodes = new Map<string, "all" | Set<string>>();
  /** Nodes that were forgotten, with the time of their last report. */
  readonly #removed = new Map<string, number>();

  get nodes(): number {
    return this.#nodes.size;
  }

  get isEmpty(): boolean {
    return this.#nodes.size === 0 && this.#removed.size === 0;
  }

  has(id: string): boolean {
    return this.#nodes.has(id);
  }

  /** A node has reported; these of its holdings have changed. */
  changed(id: string, holdings: "all" | Iterable<string>): void {
    const before = this.#nodes.get(id);
    const after = before === "all" || holdings === "all" ? "all" : (before ?? new Set<string>());
    if (after !== "all" && holdings !== "all") for (const digest of holdings) after.add(digest);
    this.#nodes.set(id, after !== "all" && after.size > digestsPerNodeMax ? "all" : after);
  }

  /** A node was forgotten; what it reports afterwards is written after that. */
  removed(id: string, reportedAtMs: number): void {
    this.#nodes.delete(id);
    this.#removed.set(id, reportedAtMs);
    if (this.#removed.size <= nodesMax) return;
    // The store keeps it as a lost node.
    for (const oldest of this.#removed.keys()) {
      this.#removed.delete(oldest);
      return;
    }
  }

  /** A removal could not be written. */
  putBackRemoval(id: string, reportedAtMs: number): void {
    this.#removed.set(id, Math.max(reportedAtMs, this.#removed.get(id) ?? reportedAtMs));
  }

  /** The store has it all, or knows better. */
  forget(id: string): void {
    this.#nodes.delete(id);
    this.#removed.delete(id);
  }

  /** Takes some nodes out, oldest first, as long as `more` says so for each. */
  takeNodes(more: (id: string, holdings: UnsavedHoldings) => boolean): void {
    for (const [id, holdings] of this.#nodes) {
      if (!more(id, holdings)) return;
      this.#nodes.delete(id);
    }
  }

  takeRemoved(): { id: string; reportedAtMs: number }[] {
    const removed = [...this.#removed].map(([id, reportedAtMs]) => ({ id, reportedAtMs }));
    this.#removed.clear();
    return removed;
  }
}
