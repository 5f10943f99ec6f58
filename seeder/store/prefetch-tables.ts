/** The tables of popularity and of prefetches. */
export interface PrefetchTables {
  popularity: {
    /** Empty for nodes that are in none. */
    zone: string;
    digest: string;
    /** As of `at_ms`; it counts half after each half-life. */
    score: number;
    at_ms: number;
  };
  /** Zones whose launches a scheduler tells of. */
  launch_zones: {
    zone: string;
    launched_at_ms: number;
  };
  /** What is to go to nodes by the plans of seeders that share the database. */
  planned_copies: {
    /** The seeder that the node reports to, which has planned it. */
    seeder_id: string;
    node_id: string;
    zone: string;
    digest: string;
    planned_at_ms: number;
  };
  prefetches: {
    id: string;
    digest: string;
    /** As asked for; empty if by digest. */
    name: string;
    size_bytes: number;
    /** Separated by spaces; empty if the seeder chooses. */
    node_ids: string;
    zone: string;
    node_count: number;
    state: "running" | "done" | "failed" | "cancelled";
    created_at_ms: number;
    ended_at_ms: number | null;
  };
  prefetch_nodes: {
    prefetch_id: string;
    node_id: string;
    state: "pending" | "ready" | "failed";
    error: string;
  };
}
