/** Finds the inventory's nodes by whatever schedulers call their hosts. */
import type { Inventory } from "../inventory/inventory.ts";
import type { PlacedNode } from "./host-cases.ts";
import { HostNames } from "./host-names.ts";
import { hostsFoundMax } from "./limits.ts";

/** How long other spellings of names are believed: making their list takes some milliseconds with thousands of nodes. */
const spellingsKeptMs = 1_000;

/** In the place of a slot: no node, or several of which nobody can tell which is meant. */
export const notFound = -1;
export const unclear = -2;

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
  #found = new FoundHosts();
  #foundAsOf = -1;

  constructor(inventory: Inventory) {
    this.#inventory = inventory;
  }

  /** The nodes that a host may be: one, none, or several of which nobody can tell which is meant. */
  find(host: string, nowMs: number): readonly PlacedNode[] {
    const record = this.#inventory.record(host);
    if (record) return [record];
    const { names } = this.#spellingsAt(nowMs);
    return names.find(host).flatMap(({ id }) => this.#inventory.record(id) ?? []);
  }

  /** The slots of hosts' nodes in the inventory, or why there is none. */
  slotsOf(hosts: readonly string[], nowMs: number): Int32Array {
    const { namesChanges } = this.#inventory;
    if (this.#foundAsOf !== namesChanges || this.#found.size > hostsFoundMax) {
      this.#found = new FoundHosts();
      this.#foundAsOf = namesChanges;
    }
    const slots = new Int32Array(hosts.length);
    let place = 0;
    for (let index = 0; index < hosts.length; index++) {
      const host = hosts[index] as string;
      place = this.#found.placeOf(host, place);
      slots[index] = place < 0 ? this.#look(host, nowMs) : this.#found.slotAt(place);
      place++;
    }
    return slots;
  }

  #look(host: string, nowMs: number): number {
    const [placed, ...others] = this.find(host, nowMs);
    const slot = placed === undefined ? notFound : others.length > 0 ? unclear : placed.slot;
    // Spellings of a while ago may name a node that is called otherwise by now, or has a namesake.
    const isCertain = this.#inventory.record(host) !== undefined || this.#spellings?.asOf === this.#foundAsOf;
    if (isCertain) this.#found.add(host, slot);
    return slot;
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

/** Hosts' names in the order in which they were first asked for, with what was found of them. */
class FoundHosts {
  readonly #names: string[] = [];
  readonly #slots: number[] = [];
  readonly #places = new Map<string, number>();

  get size(): number {
    return this.#names.length;
  }

  /** @param likely where the host may be: they mostly come in the same order, and comparing takes less than hashing */
  placeOf(host: string, likely: number): number {
    if (this.#names[likely] === host) return likely;
    return this.#places.get(host) ?? -1;
  }

  slotAt(place: number): number {
    return this.#slots[place] as number;
  }

  add(host: string, slot: number): void {
    this.#places.set(host, this.#names.length);
    this.#names.push(host);
    this.#slots.push(slot);
  }
}
