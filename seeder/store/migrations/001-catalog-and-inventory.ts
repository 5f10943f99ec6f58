/** Images and their names; nodes and what they hold. */
import type { Kysely, Migration } from "kysely";

export const catalogAndInventory: Migration = {
  async up(database: Kysely<unknown>) {
    await database.schema
      .createTable("images")
      .addColumn("digest", "text", (column) => column.primaryKey())
      .addColumn("size_bytes", "bigint", (column) => column.notNull())
      .addColumn("format", "text", (column) => column.notNull())
      .addColumn("virtual_size_bytes", "bigint", (column) => column.notNull())
      .addColumn("infohash", "text")
      .addColumn("piece_length_bytes", "bigint")
      .addColumn("created_at_ms", "bigint", (column) => column.notNull())
      .execute();
    await database.schema
      .createTable("names")
      .addColumn("name", "text", (column) => column.primaryKey())
      .addColumn("digest", "text", (column) => column.notNull().references("images.digest").onDelete("cascade"))
      .addColumn("ordinal", "bigint", (column) => column.notNull())
      .execute();
    await database.schema.createIndex("names_by_digest").on("names").column("digest").execute();
    await database.schema
      .createTable("nodes")
      .addColumn("id", "text", (column) => column.primaryKey())
      .addColumn("name", "text", (column) => column.notNull())
      .addColumn("api_url", "text", (column) => column.notNull())
      .addColumn("version", "text", (column) => column.notNull())
      .addColumn("cache_bytes", "bigint", (column) => column.notNull())
      .addColumn("disk_free_bytes", "bigint", (column) => column.notNull())
      .addColumn("disk_size_bytes", "bigint", (column) => column.notNull())
      .addColumn("report_interval_ms", "bigint", (column) => column.notNull())
      .addColumn("reported_at_ms", "bigint", (column) => column.notNull())
      .execute();
    await database.schema
      .createTable("holdings")
      .addColumn("node_id", "text", (column) => column.notNull().references("nodes.id").onDelete("cascade"))
      .addColumn("digest", "text", (column) => column.notNull())
      .addColumn("allocated_bytes", "bigint", (column) => column.notNull())
      .addColumn("pinned", "integer", (column) => column.notNull())
      .addColumn("last_used_at_ms", "bigint")
      .addPrimaryKeyConstraint("holdings_pk", ["node_id", "digest"])
      .execute();
  },
};
