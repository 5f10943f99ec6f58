/** Finds the inventory's nodes by whatever schedulers call their hosts. */
import type { Inventory } from "../inventory/inventory.ts";
import type { PlacedNode } from "./host-facts.ts";
import { HostNames } from "./host-names.ts";

/** How long other spellings of names are believed: making their list takes some milliseconds with thousands of nodes. */
const spellingsKeptMs = 1_000;

export class HostFinder {
  readonly #inventory: Inventory;
  #spellings: { names: HostNames<{ id: string; name: string }>; madeAtMs: number } | undefined;

  constructor(inventory: Inventory) {
    this.#inventory = inventory;
  }

  /** The nodes that a host may be: one, none, or several of which nobody can tell which is meant. */
  find(host: string, nowMs: number): readonly PlacedNode[] {
    const record = this.#inventory.record(host);
    if (record) return [record];
    return this.#names(nowMs)
      .find(host)
      .flatMap(({ id }) => this.#inventory.record(id) ?? []);
  }

  #names(nowMs: number): HostNames<{ id: string; name: string }> {
    const ageMs = this.#spellings ? nowMs - this.#spellings.madeAtMs : Number.POSITIVE_INFINITY;
    if (!this.#spellings || ageMs < 0 || ageMs >= spellingsKeptMs) {
      const nodes = Array.from(this.#inventory.records(), ({ node }) => node);
      this.#spellings = { names: new HostNames(nodes), madeAtMs: nowMs };
    }
    return this.#spellings.names;
  }
}
