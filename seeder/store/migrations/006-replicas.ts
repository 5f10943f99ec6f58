/** Seeders that share a catalog: who they are, which holds the bytes of what, and who records boots. */
import type { Kysely, Migration } from "kysely";

export const replicas: Migration = {
  async up(database: Kysely<unknown>) {
    await database.schema
      .createTable("replicas")
      .addColumn("id", "text", (column) => column.primaryKey())
      .addColumn("url", "text", (column) => column.notNull())
      .addColumn("host", "text", (column) => column.notNull())
      .addColumn("peer_port", "integer", (column) => column.notNull())
      .addColumn("dht_port", "integer", (column) => column.notNull())
      .addColumn("version", "text", (column) => column.notNull())
      .addColumn("free_bytes", "bigint", (column) => column.notNull())
      .addColumn("fetches", "text", (column) => column.notNull())
      .addColumn("beat", "bigint", (column) => column.notNull())
      .addColumn("seen_at_ms", "bigint", (column) => column.notNull())
      .execute();
    await database.schema
      .createTable("replica_images")
      .addColumn("replica_id", "text", (column) => column.notNull().references("replicas.id").onDelete("cascade"))
      .addColumn("digest", "text", (column) => column.notNull().references("images.digest").onDelete("cascade"))
      .addPrimaryKeyConstraint("replica_images_pk", ["replica_id", "digest"])
      .execute();
    await database.schema.createIndex("replica_images_by_digest").on("replica_images").column("digest").execute();
    // One row for each kind of change: whoever changes something counts it, and waits for who is about to.
    await database.schema
      .createTable("versions")
      .addColumn("name", "text", (column) => column.primaryKey())
      .addColumn("version", "bigint", (column) => column.notNull())
      .execute();
    await database
      .insertInto("versions" as never)
      .values([
        { name: "catalog", version: 0 },
        { name: "copies", version: 0 },
      ] as never)
      .execute();
    await database.schema
      .createTable("recording_claims")
      .addColumn("digest", "text", (column) => column.primaryKey())
      .addColumn("node_id", "text", (column) => column.notNull())
      .addColumn("node_name", "text", (column) => column.notNull())
      .addColumn("ends_at_ms", "bigint", (column) => column.notNull())
      .execute();
  },
};
