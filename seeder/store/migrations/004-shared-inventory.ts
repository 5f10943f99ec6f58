/**
 * What seeders that share a database tell each other of nodes: the whole of a report, who took it, and numbers that say
 * what has changed since somebody last looked.
 */
import type { Kysely, Migration } from "kysely";

/** What became a part of `facts`, by its name there. */
const factColumns = {
  name: "name",
  api_url: "apiUrl",
  version: "version",
  zone: "zone",
  cache_bytes: "cacheBytes",
  disk_free_bytes: "diskFreeBytes",
  disk_size_bytes: "diskSizeBytes",
  report_interval_ms: "reportIntervalMs",
} as const;

interface Holding {
  node_id: string;
  digest: string;
  allocated_bytes: number;
  pinned: number;
  last_used_at_ms: number | null;
}

interface Tables {
  holdings: Holding;
  holdings_before: Holding;
  nodes: Record<keyof typeof factColumns | "id" | "facts", string>;
}

export const sharedInventory: Migration = {
  async up(database: Kysely<unknown>) {
    await database.schema
      .createTable("inventory_state")
      .addColumn("id", "integer", (column) => column.primaryKey())
      .addColumn("generation", "text", (column) => column.notNull())
      .addColumn("change", "bigint", (column) => column.notNull())
      .addColumn("removals_change", "bigint", (column) => column.notNull())
      .execute();
    const texts = ["facts", "epoch", "peer", "fetches", "seeder_id"];
    for (const name of texts) {
      await database.schema
        .alterTable("nodes")
        .addColumn(name, "text", (column) => column.notNull().defaultTo(""))
        .execute();
    }
    for (const name of ["sequence", "lease_ms", "change", "holdings_change", "removals_change"]) {
      await database.schema
        .alterTable("nodes")
        .addColumn(name, "bigint", (column) => column.notNull().defaultTo(0))
        .execute();
    }
    await gatherFacts(database as Kysely<Tables>);
    for (const name of Object.keys(factColumns)) await database.schema.alterTable("nodes").dropColumn(name).execute();
    await database.schema.createIndex("nodes_by_change").on("nodes").column("change").execute();
    await renewHoldings(database as Kysely<Tables>);
  },
};

/** Without a reference to nodes, which takes longer to check than a holding takes to write. */
async function renewHoldings(database: Kysely<Tables>): Promise<void> {
  await database.schema.alterTable("holdings").renameTo("holdings_before").execute();
  await database.schema
    .createTable("holdings")
    .addColumn("node_id", "text", (column) => column.notNull())
    .addColumn("digest", "text", (column) => column.notNull())
    .addColumn("allocated_bytes", "bigint", (column) => column.notNull())
    .addColumn("pinned", "integer", (column) => column.notNull())
    .addColumn("last_used_at_ms", "bigint")
    .addColumn("change", "bigint", (column) => column.notNull().defaultTo(0))
    .addPrimaryKeyConstraint("holdings_key", ["node_id", "digest"])
    .execute();
  const columns = ["node_id", "digest", "allocated_bytes", "pinned", "last_used_at_ms"] as const;
  await database
    .insertInto("holdings")
    .columns(columns)
    .expression(database.selectFrom("holdings_before").select(columns))
    .execute();
  await database.schema.dropTable("holdings_before").execute();
}

async function gatherFacts(database: Kysely<Tables>): Promise<void> {
  for (const row of await database.selectFrom("nodes").selectAll().execute()) {
    const facts = Object.entries(factColumns).map(([column, name]) => [name, row[column as keyof typeof row]]);
    await database
      .updateTable("nodes")
      .set({ facts: JSON.stringify(Object.fromEntries([["id", row.id], ...facts])) })
      .where("id", "=", row.id)
      .execute();
  }
}
