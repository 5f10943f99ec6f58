/** Brings a database up to this version's tables: one migration a file, the same for SQLite and PostgreSQL. */
import { type Kysely, type Migration, Migrator } from "kysely";
import { messageOf, Problem } from "../../daemon/problem.ts";
import { catalogAndInventory } from "./migrations/001-catalog-and-inventory.ts";
import { nodeZones } from "./migrations/002-node-zones.ts";
import { bootImages } from "./migrations/003-boot-images.ts";
import { sharedInventory } from "./migrations/004-shared-inventory.ts";
import { prefetch } from "./migrations/005-prefetch.ts";
import { replicas } from "./migrations/006-replicas.ts";
import { retiredImages } from "./migrations/007-retired-images.ts";
import { plansAndLaunches } from "./migrations/008-plans-and-launches.ts";
import { retiredAt } from "./migrations/009-retired-at.ts";
import type { Database } from "./schema.ts";

/** By name, in the order of the names. What has been released is never changed. */
const migrations: Record<string, Migration> = {
  "001-catalog-and-inventory": catalogAndInventory,
  "002-node-zones": nodeZones,
  "003-boot-images": bootImages,
  "004-shared-inventory": sharedInventory,
  "005-prefetch": prefetch,
  "006-replicas": replicas,
  "007-retired-images": retiredImages,
  "008-plans-and-launches": plansAndLaunches,
  "009-retired-at": retiredAt,
};

/** What Kysely says of a database in which a migration was run that it does not know. */
const unknownMigration = /previously executed migration (\S+) is missing/;

/**
 * Runs the migrations that are missing, all or none. Several seeders may do so at once: one does it, the others wait.
 *
 * @throws Problem "unavailable" if that fails, "conflict" for a database of a newer version.
 */
export async function migrate(database: Kysely<Database>): Promise<void> {
  const migrator = new Migrator({ db: database, provider: { getMigrations: async () => migrations } });
  const { error } = await migrator.migrateToLatest();
  if (!error) return;
  const unknown = unknownMigration.exec(messageOf(error))?.[1];
  if (unknown !== undefined) {
    throw new Problem(
      "conflict",
      `a newer version of bootswarm has changed it (${unknown}); start that version, or restore a copy from before`,
    );
  }
  throw new Problem("unavailable", "its tables cannot be brought up to date", { cause: error });
}
