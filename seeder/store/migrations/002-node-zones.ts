/** Where nodes are. */
import type { Kysely, Migration } from "kysely";

export const nodeZones: Migration = {
  async up(database: Kysely<unknown>) {
    await database.schema
      .alterTable("nodes")
      .addColumn("zone", "text", (column) => column.notNull().defaultTo(""))
      .execute();
  },
};
