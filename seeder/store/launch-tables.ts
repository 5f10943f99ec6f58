/** The table of launches of late (migration 008). */
export interface LaunchTables {
  launches: {
    /** Grows in the order of commits. */
    number: number;
    /** The seeder that was told. */
    seeder_id: string;
    launch_id: string;
    node_id: string;
    digest: string;
    vm_count: number;
    launched_at_ms: number;
    told_at_ms: number;
  };
}
