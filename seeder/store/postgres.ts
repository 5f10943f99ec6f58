/** The engine that several seeders share: PostgreSQL, by pg. */
import { Kysely, PostgresDialect, type PostgresPool, type PostgresPoolClient } from "kysely";
import pg from "pg";
import type { Log } from "../../daemon/log.ts";
import { messageOf, Problem } from "../../daemon/problem.ts";
import { KyselyStore } from "./kysely-store.ts";
import { migrate } from "./migrate.ts";
import type { PostgresAddress } from "./postgres-address.ts";
import { postgresProblem } from "./postgres-problems.ts";
import type { Database } from "./schema.ts";
import type { Store } from "./store.ts";

/** Connections of one seeder: lookups side by side with one that writes and one that reads what others wrote. */
const connectionsMax = 8;
const connectTimeoutMs = 5_000;
/** A statement that takes longer has met something ill; the driver gives up a little later, on a link that is dead. */
const statementTimeoutMs = 30_000;
const answerTimeoutMs = 35_000;
/** A seeder that stands still within a transaction holds up all others' writes. */
const idleInTransactionMs = 10_000;
/** A migration may rewrite a table of some hundred megabytes, or wait for another seeder that does. */
const migrationTimeoutMs = 600_000;

/** PostgreSQL's type of 64-bit integers (pg_type.oid). */
const bigintOid = 20;

/**
 * Opens a store in a PostgreSQL database, which must exist.
 *
 * @throws Problem saying what is wrong: "unavailable", "invalid", or "conflict" for a database of a newer version.
 */
export async function openPostgresStore(address: PostgresAddress, log: Log): Promise<Store> {
  const { shown } = address;
  await migrated(address, log);
  const pool = connectionPool(address, log, {
    max: connectionsMax,
    statement_timeout: statementTimeoutMs,
    query_timeout: answerTimeoutMs,
    idle_in_transaction_session_timeout: idleInTransactionMs,
  });
  log.info({ database: shown }, "using PostgreSQL");
  return new KyselyStore(new Kysely<Database>({ dialect: new PostgresDialect({ pool }) }), "postgres");
}

async function migrated(address: PostgresAddress, log: Log): Promise<void> {
  // The migrator uses one connection for its lock while it looks at the tables with another.
  const pool = connectionPool(address, log, { max: 2, statement_timeout: migrationTimeoutMs });
  const database = new Kysely<Database>({ dialect: new PostgresDialect({ pool }) });
  try {
    await migrate(database);
  } catch (error) {
    const problem = postgresProblem(rootOf(error), address.shown);
    if (problem instanceof Problem && problem !== error) throw problem;
    throw new Problem(
      error instanceof Problem ? error.kind : "unavailable",
      `cannot use the database ${address.shown}: ${messageOf(error)}`,
    );
  } finally {
    await database.destroy();
  }
}

function connectionPool(address: PostgresAddress, log: Log, limits: pg.PoolConfig): PostgresPool {
  const pool = new pg.Pool({
    connectionString: address.url,
    application_name: "bootswarm-seeder",
    connectionTimeoutMillis: connectTimeoutMs,
    keepAlive: true,
    types: { getTypeParser: typeParser as typeof pg.types.getTypeParser },
    ...limits,
  });
  // Of a connection that nobody uses at the time; whoever wants one next hears of it himself.
  const onEnd = (error: Error) => log.debug({ error: messageOf(error) }, "a connection to the database has ended");
  pool.on("error", onEnd);
  pool.on("connect", (client) => {
    // The pool listens only while nobody has it. Within a transaction, whoever has it hears of it by his next statement.
    client.on("error", onEnd);
    tellProblems(client, address.shown);
  });
  return {
    connect: async () => {
      try {
        return (await pool.connect()) as unknown as PostgresPoolClient;
      } catch (error) {
        throw postgresProblem(error, address.shown);
      }
    },
    end: () => pool.end(),
  };
}

/** Makes a connection's failures problems, and has it closed where an answer may still be on its way. */
function tellProblems(client: pg.PoolClient, shown: string): void {
  const query = client.query.bind(client) as (...args: unknown[]) => Promise<unknown>;
  const told = async (...args: unknown[]) => {
    try {
      return await query(...args);
    } catch (error) {
      if (messageOf(error) === "Query read timeout") void client.end();
      throw postgresProblem(error, shown);
    }
  };
  client.query = told as typeof client.query;
}

/** 64-bit integers as numbers: all of ours are below 2^53. */
function typeParser(oid: number, format?: string): unknown {
  return oid === bigintOid && format !== "binary" ? safeInteger : pg.types.getTypeParser(oid, format as "text");
}

function safeInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`the database holds ${text}, which no number can be`);
  return value;
}

function rootOf(error: unknown): unknown {
  return error instanceof Problem && error.cause !== undefined ? rootOf(error.cause) : error;
}
