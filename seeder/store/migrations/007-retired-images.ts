/** Digests of images that were retired: bytes are removed for that alone, and never because a database does not know them. */
import type { Kysely, Migration } from "kysely";

export const retiredImages: Migration = {
  async up(database: Kysely<unknown>) {
    await database.schema
      .createTable("retired_images")
      .addColumn("digest", "text", (column) => column.primaryKey())
      .execute();
  },
};
