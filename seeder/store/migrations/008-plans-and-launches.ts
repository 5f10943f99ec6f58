/** What seeders tell each other of what they have planned, and of launches of late. */
import type { Kysely, Migration } from "kysely";

export const plansAndLaunches: Migration = {
  async up(database: Kysely<unknown>) {
    await database.schema
      .createTable("planned_copies")
      .addColumn("seeder_id", "text", (column) => column.notNull())
      .addColumn("node_id", "text", (column) => column.notNull())
      .addColumn("zone", "text", (column) => column.notNull())
      .addColumn("digest", "text", (column) => column.notNull())
      .addColumn("planned_at_ms", "bigint", (column) => column.notNull())
      .addPrimaryKeyConstraint("planned_copies_pk", ["seeder_id", "node_id", "digest"])
      .execute();
    await database.schema
      .createTable("launches")
      .addColumn("number", "bigint", (column) => column.primaryKey())
      .addColumn("seeder_id", "text", (column) => column.notNull())
      .addColumn("launch_id", "text", (column) => column.notNull())
      .addColumn("node_id", "text", (column) => column.notNull())
      .addColumn("digest", "text", (column) => column.notNull())
      .addColumn("vm_count", "integer", (column) => column.notNull())
      .addColumn("launched_at_ms", "bigint", (column) => column.notNull())
      .addColumn("told_at_ms", "bigint", (column) => column.notNull())
      .execute();
  },
};
