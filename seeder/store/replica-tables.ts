/** The tables that seeders share about themselves (migration 006). */
export interface ReplicaTables {
  replicas: {
    id: string;
    url: string;
    host: string;
    peer_port: number;
    dht_port: number;
    version: string;
    free_bytes: number;
    /** JSON of CopyProgress[]. */
    fetches: string;
    beat: number;
    seen_at_ms: number;
  };
  /** Which seeder holds the bytes of what. */
  replica_images: {
    replica_id: string;
    digest: string;
  };
  versions: {
    name: "catalog" | "copies" | "plans" | "launches";
    version: number;
  };
  recording_claims: {
    digest: string;
    node_id: string;
    node_name: string;
    ends_at_ms: number;
  };
}
