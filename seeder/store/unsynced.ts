import type { Kysely, Transaction } from "kysely";
import { sql } from "kysely";
import type { Engine } from "./json-rows.ts";
import type { Database } from "./schema.ts";

/**
 * Runs a transaction whose commit does not wait for the disk: what nodes will tell again, or what may as well be a second
 * old. A loss of power may lose the last of them, never one before another, and never what was committed otherwise
 * before. With thousands of nodes the waiting, once a second, stopped SQLite's seeder for longer than all else it did.
 */
export function unsynced<T>(
  database: Kysely<Database>,
  engine: Engine,
  run: (transaction: Transaction<Database>) => Promise<T>,
): Promise<T> {
  if (engine === "postgres") {
    return database.transaction().execute(async (transaction) => {
      await sql`select set_config('synchronous_commit', 'off', true)`.execute(transaction);
      return await run(transaction);
    });
  }
  // The one connection is ours meanwhile: nobody else's commit goes unsynced.
  return database.connection().execute(async (connection) => {
    await sql`pragma synchronous = normal`.execute(connection);
    try {
      return await connection.transaction().execute(run);
    } finally {
      await sql`pragma synchronous = full`.execute(connection);
    }
  });
}
