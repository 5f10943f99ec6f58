/** The inventory's nodes as placement asks for them. */
import type { Inventory, NodeView } from "../inventory/inventory.ts";
import type { PlacedNode } from "./host-facts.ts";
import { HostNames } from "./host-names.ts";
import type { PlacementNodes } from "./placement.ts";

export class InventoryNodes implements PlacementNodes {
  readonly #inventory: Inventory;
  #names: { atMs: number; names: HostNames<{ id: string; name: string }>; views: Map<string, NodeView> } | undefined;

  constructor(inventory: Inventory) {
    this.#inventory = inventory;
  }

  *up(nowMs: number): Iterable<PlacedNode> {
    for (const view of this.#inventory.nodes(nowMs)) if (view.state === "up") yield placed(view);
  }

  find(host: string, nowMs: number): readonly PlacedNode[] {
    if (this.#names?.atMs !== nowMs) {
      const views = this.#inventory.nodes(nowMs);
      this.#names = {
        atMs: nowMs,
        names: new HostNames(views.map(({ node }) => node)),
        views: new Map(views.map((view) => [view.node.id, view])),
      };
    }
    const { names, views } = this.#names;
    const byId = views.get(host);
    if (byId) return [placed(byId)];
    return names.find(host).flatMap(({ id }) => {
      const view = views.get(id);
      return view ? [placed(view)] : [];
    });
  }
}

function placed(view: NodeView): PlacedNode {
  const holds = (digest: string) => view.holdings.some((holding) => holding.digest === digest);
  return { node: view.node, state: view.state, fetches: view.fetches, holds };
}
