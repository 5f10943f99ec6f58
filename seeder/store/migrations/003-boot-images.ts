/** Which images are boot images, and of what. */
import type { Kysely, Migration } from "kysely";

export const bootImages: Migration = {
  async up(database: Kysely<unknown>) {
    await database.schema.alterTable("images").addColumn("boot_of", "text").execute();
    await database.schema.alterTable("images").addColumn("boot_sources", "text").execute();
  },
};
