/** The database's tables, and the migrations that make them. Written for SQLite and PostgreSQL alike. */
import { type Kysely, type Migration, type MigrationProvider, Migrator } from "kysely";
import { Problem } from "../../daemon/problem.ts";
import { replicas } from "./migrations/006-replicas.ts";
import type { ReplicaTables } from "./replica-tables.ts";

export interface Database extends ReplicaTables {
  images: {
    digest: string;
    size_bytes: number;
    format: "raw" | "qcow2" | "boot";
    virtual_size_bytes: number;
    infohash: string | null;
    piece_length_bytes: number | null;
    created_at_ms: number;
    /** Null but for boot images. */
    boot_of: string | null;
    /** Digests, separated by spaces; null but for boot images. */
    boot_sources: string | null;
  };
  names: {
    name: string;
    digest: string;
    /** Orders an image's names: greater is younger. */
    ordinal: number;
  };
  nodes: {
    id: string;
    name: string;
    api_url: string;
    version: string;
    zone: string;
    cache_bytes: number;
    disk_free_bytes: number;
    disk_size_bytes: number;
    report_interval_ms: number;
    reported_at_ms: number;
  };
  holdings: {
    node_id: string;
    digest: string;
    allocated_bytes: number;
    /** 0 or 1: SQLite has no booleans. */
    pinned: number;
    last_used_at_ms: number | null;
  };
}

const catalogAndInventory: Migration = {
  async up(database: Kysely<unknown>) {
    await database.schema
      .createTable("images")
      .addColumn("digest", "text", (column) => column.primaryKey())
      .addColumn("size_bytes", "bigint", (column) => column.notNull())
      .addColumn("format", "text", (column) => column.notNull())
      .addColumn("virtual_size_bytes", "bigint", (column) => column.notNull())
      .addColumn("infohash", "text")
      .addColumn("piece_length_bytes", "bigint")
      .addColumn("created_at_ms", "bigint", (column) => column.notNull())
      .execute();
    await database.schema
      .createTable("names")
      .addColumn("name", "text", (column) => column.primaryKey())
      .addColumn("digest", "text", (column) => column.notNull().references("images.digest").onDelete("cascade"))
      .addColumn("ordinal", "bigint", (column) => column.notNull())
      .execute();
    await database.schema.createIndex("names_by_digest").on("names").column("digest").execute();
    await database.schema
      .createTable("nodes")
      .addColumn("id", "text", (column) => column.primaryKey())
      .addColumn("name", "text", (column) => column.notNull())
      .addColumn("api_url", "text", (column) => column.notNull())
      .addColumn("version", "text", (column) => column.notNull())
      .addColumn("cache_bytes", "bigint", (column) => column.notNull())
      .addColumn("disk_free_bytes", "bigint", (column) => column.notNull())
      .addColumn("disk_size_bytes", "bigint", (column) => column.notNull())
      .addColumn("report_interval_ms", "bigint", (column) => column.notNull())
      .addColumn("reported_at_ms", "bigint", (column) => column.notNull())
      .execute();
    await database.schema
      .createTable("holdings")
      .addColumn("node_id", "text", (column) => column.notNull().references("nodes.id").onDelete("cascade"))
      .addColumn("digest", "text", (column) => column.notNull())
      .addColumn("allocated_bytes", "bigint", (column) => column.notNull())
      .addColumn("pinned", "integer", (column) => column.notNull())
      .addColumn("last_used_at_ms", "bigint")
      .addPrimaryKeyConstraint("holdings_pk", ["node_id", "digest"])
      .execute();
  },
};

const nodeZones: Migration = {
  async up(database: Kysely<unknown>) {
    await database.schema
      .alterTable("nodes")
      .addColumn("zone", "text", (column) => column.notNull().defaultTo(""))
      .execute();
  },
};

const bootImages: Migration = {
  async up(database: Kysely<unknown>) {
    await database.schema.alterTable("images").addColumn("boot_of", "text").execute();
    await database.schema.alterTable("images").addColumn("boot_sources", "text").execute();
  },
};

const migrations: MigrationProvider = {
  getMigrations: async () => ({
    "001-catalog-and-inventory": catalogAndInventory,
    "002-node-zones": nodeZones,
    "003-boot-images": bootImages,
    "006-replicas": replicas,
  }),
};

/**
 * Brings a database up to this version's tables.
 *
 * @throws Problem "unavailable" if that fails, also for a database of a newer version.
 */
export async function migrate(database: Kysely<Database>): Promise<void> {
  const { error } = await new Migrator({ db: database, provider: migrations }).migrateToLatest();
  if (error) throw new Problem("unavailable", "the seeder's database cannot be brought up to date", { cause: error });
}
