/** The inventory's nodes as placement asks for them. */
import type { Inventory } from "../inventory/inventory.ts";
import type { NodeView } from "../inventory/node-view.ts";
import type { PlacedNode } from "./host-facts.ts";
import { HostNames } from "./host-names.ts";
import type { PlacementNodes } from "./placement.ts";

/** How long other spellings of names are believed: making their list takes some milliseconds with thousands of nodes. */
const spellingsKeptMs = 1_000;

export class InventoryNodes implements PlacementNodes {
  readonly #inventory: Inventory;
  #spellings: { names: HostNames<{ id: string; name: string }>; madeAtMs: number } | undefined;

  constructor(inventory: Inventory) {
    this.#inventory = inventory;
  }

  *up(nowMs: number): Iterable<PlacedNode> {
    for (const view of this.#inventory.nodes(nowMs)) if (view.state === "up") yield this.#placed(view, nowMs);
  }

  find(host: string, nowMs: number): readonly PlacedNode[] {
    const view = this.#inventory.lookup(host, nowMs);
    if (view) return [this.#placed(view, nowMs)];
    return this.#names(nowMs)
      .find(host)
      .flatMap(({ id }) => {
        const view = this.#inventory.lookup(id, nowMs);
        return view ? [this.#placed(view, nowMs)] : [];
      });
  }

  #names(nowMs: number): HostNames<{ id: string; name: string }> {
    const ageMs = this.#spellings ? nowMs - this.#spellings.madeAtMs : Number.POSITIVE_INFINITY;
    if (!this.#spellings || ageMs < 0 || ageMs >= spellingsKeptMs) {
      const nodes = this.#inventory.nodes(nowMs).map(({ node }) => node);
      this.#spellings = { names: new HostNames(nodes), madeAtMs: nowMs };
    }
    return this.#spellings.names;
  }

  #placed(view: NodeView, nowMs: number): PlacedNode {
    const { node, state, fetches } = view;
    const holds = (digest: string) => this.#inventory.partOf(node.id, digest, nowMs)?.holding !== undefined;
    return { node, state, fetches, holds };
  }
}
