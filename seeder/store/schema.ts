/** The database's tables, as the migrations make them. */
import type { LaunchTables } from "./launch-tables.ts";
import type { PrefetchTables } from "./prefetch-tables.ts";
import type { ReplicaTables } from "./replica-tables.ts";

export interface Database extends ReplicaTables, PrefetchTables, LaunchTables {
  images: {
    digest: string;
    size_bytes: number;
    format: "raw" | "qcow2" | "boot";
    virtual_size_bytes: number;
    infohash: string | null;
    piece_length_bytes: number | null;
    created_at_ms: number;
    /** Null but for boot images. */
    boot_of: string | null;
    /** Digests, separated by spaces; null but for boot images. */
    boot_sources: string | null;
  };
  names: {
    name: string;
    digest: string;
    /** Orders an image's names: greater is younger. */
    ordinal: number;
  };
  /** Images that were, until they are published again, or it is long ago. */
  retired_images: {
    digest: string;
    retired_at_ms: number;
  };
  /** One row: what the next change of nodes is counted from. */
  inventory_state: {
    id: number;
    /** Made with the row, at random. */
    generation: string;
    /** The last change: whoever makes one counts it here first, and so waits for who is about to. */
    change: number;
    /** The last change that removed a node. */
    removals_change: number;
  };
  nodes: {
    id: string;
    /** JSON of NodeFacts. */
    facts: string;
    epoch: string;
    sequence: number;
    reported_at_ms: number;
    lease_ms: number;
    /** JSON of where the node serves peers; empty if it does not. */
    peer: string;
    /** JSON: a list of fetch messages in base64. */
    fetches: string;
    /** The seeder that took the report. */
    seeder_id: string;
    /** The last change of this row, of any of its holdings, and the last that took one away. */
    change: number;
    holdings_change: number;
    removals_change: number;
  };
  holdings: {
    node_id: string;
    digest: string;
    allocated_bytes: number;
    /** 0 or 1: SQLite has no booleans. */
    pinned: number;
    last_used_at_ms: number | null;
    change: number;
  };
}
