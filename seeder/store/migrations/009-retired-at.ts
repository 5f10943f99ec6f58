/** When images were retired: what was long ago is forgotten. */
import type { Kysely, Migration } from "kysely";

export const retiredAt: Migration = {
  async up(database: Kysely<unknown>) {
    await database.schema
      .alterTable("retired_images")
      // Those of before are taken to have been retired now.
      .addColumn("retired_at_ms", "bigint", (column) => column.notNull().defaultTo(Date.now()))
      .execute();
    await database.schema.createIndex("retired_images_by_time").on("retired_images").column("retired_at_ms").execute();
  },
};
