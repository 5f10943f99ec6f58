/** The embedded engine: one file, by node:sqlite in a thread of its own. */
import { Kysely } from "kysely";
import type { Log } from "../../daemon/log.ts";
import { messageOf, Problem } from "../../daemon/problem.ts";
import { KyselyStore } from "./kysely-store.ts";
import { migrate } from "./migrate.ts";
import type { Database } from "./schema.ts";
import { SqliteThreadDialect } from "./sqlite-dialect.ts";
import { SqliteThread } from "./sqlite-thread.ts";
import type { Store } from "./store.ts";

/**
 * Opens a store in the file at `path`, made if it is not there.
 *
 * @throws Problem "unavailable" if the file cannot be opened or is no database of ours.
 */
export async function openSqliteStore(path: string, log: Log): Promise<Store> {
  let database: Kysely<Database> | undefined;
  try {
    database = new Kysely<Database>({ dialect: new SqliteThreadDialect(await SqliteThread.open(path, log)) });
    await migrate(database);
    return new KyselyStore(database, "sqlite");
  } catch (error) {
    await database?.destroy();
    if (error instanceof Problem && error.kind === "conflict") {
      throw new Problem("conflict", `cannot use the database ${path}: ${error.message}`);
    }
    throw new Problem(
      "unavailable",
      `cannot use the database ${path} (${messageOf(error)}); if it is damaged, restore it from a copy, or move it away and publish anew`,
      { cause: error },
    );
  }
}
