/** What seeders tell each other of nodes, and remember of them. Engines behind this contract pass the tests in test/contract. */
import type { HoldingsChange, SharedNode } from "../inventory/facts.ts";

/** A state of the store: changes are counted in the order in which they were committed. */
export interface StoreMark {
  /** Made with the tables, at random: another one says that they are not what they were. */
  generation: string;
  change: number;
}

export interface NodeChange extends SharedNode {
  /** Undefined leaves the node's holdings as they are. */
  holdings: HoldingsChange | undefined;
}

/** What a seeder has not seen yet. */
export interface NodesRead {
  mark: StoreMark;
  /** Whether the tables were made anew, or went back to an earlier state: then all nodes are told. */
  anew: boolean;
  nodes: NodeChange[];
  /** Ids of all nodes, if any were removed; undefined otherwise. */
  ids: ReadonlySet<string> | undefined;
  /** Whether any node has a holding. */
  anyHolding: boolean;
}

/** A node that is forgotten, unless it has reported since. */
export interface NodeRemoval {
  id: string;
  reportedAtMs: number;
}

export interface NodesSaved {
  mark: StoreMark;
  /** Of which the store knows a later report (`supersedes`) that another seeder took: nothing was written. */
  refusedIds: string[];
  /** Which the store did not know, although not all of their holdings were given. */
  incompleteIds: string[];
}

/** Each call is atomic. */
export interface InventoryStore {
  /** Whether other seeders may write to it too. */
  readonly shared: boolean;
  /** The store's time, in milliseconds since 1970: one clock for all seeders. */
  nowMs(): Promise<number>;
  /** All nodes with their holdings. */
  loadNodes(): Promise<NodesRead>;
  /** What other seeders have written since a mark. */
  readNodes(since: StoreMark, exceptSeederId: string): Promise<NodesRead>;
  /** Writes what nodes have told a seeder, and removes others with their holdings. */
  saveNodes(seederId: string, changes: readonly NodeChange[], removals: readonly NodeRemoval[]): Promise<NodesSaved>;
}
