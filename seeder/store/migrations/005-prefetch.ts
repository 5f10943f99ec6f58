/** How popular images are, and what operators have had brought to nodes ahead of need. */
import type { Kysely, Migration } from "kysely";

export const prefetch: Migration = {
  async up(database: Kysely<unknown>) {
    await database.schema
      .createTable("popularity")
      .addColumn("zone", "text", (column) => column.notNull())
      .addColumn("digest", "text", (column) => column.notNull())
      .addColumn("score", "double precision", (column) => column.notNull())
      .addColumn("at_ms", "bigint", (column) => column.notNull())
      .addPrimaryKeyConstraint("popularity_pk", ["zone", "digest"])
      .execute();
    await database.schema
      .createTable("launch_zones")
      .addColumn("zone", "text", (column) => column.primaryKey())
      .addColumn("launched_at_ms", "bigint", (column) => column.notNull())
      .execute();
    await database.schema
      .createTable("prefetches")
      .addColumn("id", "text", (column) => column.primaryKey())
      .addColumn("digest", "text", (column) => column.notNull())
      .addColumn("name", "text", (column) => column.notNull())
      .addColumn("size_bytes", "bigint", (column) => column.notNull())
      .addColumn("node_ids", "text", (column) => column.notNull())
      .addColumn("zone", "text", (column) => column.notNull())
      .addColumn("node_count", "integer", (column) => column.notNull())
      .addColumn("state", "text", (column) => column.notNull())
      .addColumn("created_at_ms", "bigint", (column) => column.notNull())
      .addColumn("ended_at_ms", "bigint")
      .execute();
    await database.schema
      .createTable("prefetch_nodes")
      .addColumn("prefetch_id", "text", (column) => column.notNull().references("prefetches.id").onDelete("cascade"))
      .addColumn("node_id", "text", (column) => column.notNull())
      .addColumn("state", "text", (column) => column.notNull())
      .addColumn("error", "text", (column) => column.notNull())
      .addPrimaryKeyConstraint("prefetch_nodes_pk", ["prefetch_id", "node_id"])
      .execute();
  },
};
