/** What nodes last told of prefetching: what they allow, and what has become of directives. Bounded by the inventory's nodes. */
import type { NodeReport, PrefetchAllowanceFacts, ReportedPrefetchFacts } from "../inventory/facts.ts";
import { nodesMax } from "../inventory/limits.ts";

export interface NodePrefetching {
  allowance: PrefetchAllowanceFacts | undefined;
  prefetches: ReadonlyMap<string, ReportedPrefetchFacts>;
}

const nothing: NodePrefetching = { allowance: undefined, prefetches: new Map() };

export class NodeReports {
  readonly #nodes = new Map<string, NodePrefetching>();
  readonly #isElsewhere: (nodeId: string) => boolean;

  /** @param isElsewhere whether the node reports to another seeder now: what it told here is out of date, and that one plans for it */
  constructor(isElsewhere: (nodeId: string) => boolean) {
    this.#isElsewhere = isElsewhere;
  }

  take({ node, prefetch, prefetches = [] }: NodeReport): NodePrefetching {
    const told = prefetches.length === 0 ? nothing.prefetches : new Map(prefetches.map((each) => [each.digest, each]));
    const known = { allowance: prefetch, prefetches: told };
    // The node heard of longest ago goes first beyond the bound.
    this.#nodes.delete(node.id);
    this.#nodes.set(node.id, known);
    if (this.#nodes.size > nodesMax) this.#nodes.delete(this.#nodes.keys().next().value as string);
    return known;
  }

  of(nodeId: string): NodePrefetching {
    return (!this.#isElsewhere(nodeId) && this.#nodes.get(nodeId)) || nothing;
  }

  /** Whether anything has been heard of the node since the seeder started, and it reports here. */
  has(nodeId: string): boolean {
    return this.#nodes.has(nodeId) && !this.#isElsewhere(nodeId);
  }
}
