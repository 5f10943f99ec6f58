/** The embedded engine: one file, by node:sqlite. */
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { Kysely, type SqliteDatabase, SqliteDialect } from "kysely";
import { messageOf, Problem } from "../../daemon/problem.ts";
import { KyselyStore } from "./kysely-store.ts";
import { migrate } from "./migrate.ts";
import type { Database } from "./schema.ts";
import type { Store } from "./store.ts";

/**
 * Opens a store in the file at `path`, made if it is not there.
 *
 * @throws Problem "unavailable" if the file cannot be opened or is no database of ours.
 */
export async function openSqliteStore(path: string): Promise<Store> {
  let database: Kysely<Database> | undefined;
  try {
    const file = new DatabaseSync(path);
    // FULL: what is published is durable when the upload is answered, through a loss of power too.
    file.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON");
    database = new Kysely<Database>({ dialect: new SqliteDialect({ database: adapted(file) }) });
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

/** node:sqlite behind the face of better-sqlite3, as far as Kysely's dialect uses that. */
function adapted(file: DatabaseSync): SqliteDatabase {
  return {
    close: () => file.close(),
    prepare: (sql) => {
      const statement = file.prepare(sql);
      return {
        reader: statement.columns().length > 0,
        all: (parameters) => statement.all(...(parameters as SQLInputValue[])),
        run: (parameters) => statement.run(...(parameters as SQLInputValue[])),
        iterate: (parameters) => statement.iterate(...(parameters as SQLInputValue[])),
      };
    },
  };
}
