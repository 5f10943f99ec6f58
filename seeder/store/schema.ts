/** The database's tables, as the migrations make them. */
import type { ReplicaTables } from "./replica-tables.ts";

export interface Database extends ReplicaTables {
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
  nodes: {
    id: string;
    name: string;
    api_url: string;
    version: string;
    zone: string;
    cache_bytes: number;
    disk_free_bytes: number;
    disk_size_bytes: number;
    report_interval_ms: number;
    reported_at_ms: number;
  };
  holdings: {
    node_id: string;
    digest: string;
    allocated_bytes: number;
    /** 0 or 1: SQLite has no booleans. */
    pinned: number;
    last_used_at_ms: number | null;
  };
}
