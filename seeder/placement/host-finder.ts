/** Finds the inventory's nodes by whatever schedulers call their hosts. */
import type { Inventory } from "../inventory/inventory.ts";
import type { PlacedNode } from "./host-facts.ts";
import { HostNames } from "./host-names.ts";
import { hostsFoundMax } from "./limits.ts";

/** How long other spellings of names are believed: making their list takes some milliseconds with thousands of nodes. */
const spellingsKeptMs = 1_000;

interface Spellings {
  names: HostNames<{ id: string; name: string }>;
  madeAtMs: number;
  /** The inventory's `namesChanges` of then. */
  asOf: number;
}

export class HostFinder {
  readonly #inventory: Inventory;
  #spellings: Spellings | undefined;
  /**
   * What hosts were found to be, for as long as no node comes, goes, or is named otherwise: schedulers ask for the same
   * hosts again and again, by thousands.
   */
  readonly #found = new Map<string, readonly PlacedNode[]>();
  #foundAsOf = -1;

  constructor(inventory: Inventory) {
    this.#inventory = inventory;
  }

  /** The nodes that a host may be: one, none, or several of which nobody can tell which is meant. */
  find(host: string, nowMs: number): readonly PlacedNode[] {
    const { namesChanges } = this.#inventory;
    if (this.#foundAsOf !== namesChanges) {
      this.#found.clear();
      this.#foundAsOf = namesChanges;
    }
    return this.#found.get(host) ?? this.#look(host, nowMs);
  }

  #look(host: string, nowMs: number): readonly PlacedNode[] {
    const record = this.#inventory.record(host);
    if (record) return this.#keep(host, [record]);
    const { names, asOf } = this.#spellingsAt(nowMs);
    const found = names.find(host).flatMap(({ id }) => this.#inventory.record(id) ?? []);
    return asOf === this.#foundAsOf ? this.#keep(host, found) : found;
  }

  #keep(host: string, found: readonly PlacedNode[]): readonly PlacedNode[] {
    if (this.#found.size >= hostsFoundMax) this.#found.clear();
    this.#found.set(host, found);
    return found;
  }

  #spellingsAt(nowMs: number): Spellings {
    const { namesChanges } = this.#inventory;
    const known = this.#spellings;
    const ageMs = known ? nowMs - known.madeAtMs : Number.POSITIVE_INFINITY;
    if (known && (known.asOf === namesChanges || (ageMs >= 0 && ageMs < spellingsKeptMs))) return known;
    const nodes = Array.from(this.#inventory.records(), ({ node }) => node);
    this.#spellings = { names: new HostNames(nodes), madeAtMs: nowMs, asOf: namesChanges };
    return this.#spellings;
  }
}
