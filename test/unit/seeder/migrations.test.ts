import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import { createLog } from "../../../daemon/log.ts";
import { openSqliteStore } from "../../../seeder/store/sqlite.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";

/** The tables of nodes as migrations 001 to 003 made them. */
const before = `
  create table kysely_migration (name varchar(255) not null primary key, timestamp varchar(255) not null);
  create table images (digest text primary key, size_bytes bigint not null, format text not null,
    virtual_size_bytes bigint not null, infohash text, piece_length_bytes bigint, created_at_ms bigint not null,
    boot_of text, boot_sources text);
  create table names (name text primary key, digest text not null references images(digest) on delete cascade, ordinal bigint not null);
  create table nodes (id text primary key, name text not null, api_url text not null, version text not null,
    cache_bytes bigint not null, disk_free_bytes bigint not null, disk_size_bytes bigint not null,
    report_interval_ms bigint not null, reported_at_ms bigint not null, zone text not null default '');
  create table holdings (node_id text not null references nodes(id) on delete cascade, digest text not null,
    allocated_bytes bigint not null, pinned integer not null, last_used_at_ms bigint, primary key (node_id, digest));
  insert into kysely_migration values ('001-catalog-and-inventory', '2026-01-01T00:00:00.000Z'),
    ('002-node-zones', '2026-01-01T00:00:00.001Z'), ('003-boot-images', '2026-01-01T00:00:00.002Z');
  insert into nodes values ('n1', 'it''s "one"', 'http://10.0.0.1:7410', '0.1.0', 1, 2, 9007199254740991, 10000, 1790000000000, 'rack');
  insert into holdings values ('n1', '${"a".repeat(64)}', 123456789012, 1, null);
`;

test("nodes and holdings of an earlier version are still known after the migrations", async () => {
  const path = join(await temporaryDirectory(), "seeder.sqlite");
  const file = new DatabaseSync(path);
  file.exec(before);
  file.close();
  const store = await openSqliteStore(path, createLog({ level: "silent", name: "test" }));
  const { nodes } = await store.inventory.loadNodes();
  expect(nodes).toMatchObject([
    {
      node: {
        id: "n1",
        name: 'it\'s "one"',
        zone: "rack",
        diskSizeBytes: Number.MAX_SAFE_INTEGER,
        reportIntervalMs: 10_000,
      },
      reportedAtMs: 1_790_000_000_000,
      holdings: { all: [{ digest: "a".repeat(64), allocatedBytes: 123_456_789_012, pinned: true }] },
    },
  ]);
  await store.close();
});
