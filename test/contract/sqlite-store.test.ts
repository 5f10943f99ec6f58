import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Kysely, sql } from "kysely";
import { expect, test } from "vitest";
import { createLog } from "../../daemon/log.ts";
import { retiredMax } from "../../seeder/store/limits.ts";
import { openSqliteStore } from "../../seeder/store/sqlite.ts";
import { SqliteThreadDialect } from "../../seeder/store/sqlite-dialect.ts";
import { SqliteThread } from "../../seeder/store/sqlite-thread.ts";
import { inventoryContract } from "./inventory-contract.ts";
import { imageOf, type StorePlace, storeContract } from "./store-contract.ts";

const log = createLog({ level: "silent", name: "test" });

async function makePlace(): Promise<StorePlace & { directory: string }> {
  const directory = await mkdtemp(join(tmpdir(), "bootswarm-store-"));
  return {
    directory,
    open: () => openSqliteStore(join(directory, "seeder.sqlite"), log),
    remove: () => rm(directory, { recursive: true }),
  };
}

storeContract("SQLite", makePlace);
inventoryContract("SQLite", makePlace);

test("a file that is no database is refused with its path and what to do, and left as it is", async () => {
  const directory = await mkdtemp(join(tmpdir(), "bootswarm-store-"));
  const path = join(directory, "seeder.sqlite");
  await writeFile(path, "x".repeat(10_000));
  await expect(openSqliteStore(path, log)).rejects.toThrow(/cannot use the database .*seeder\.sqlite .*not a database/);
  await rm(directory, { recursive: true });
});

test("a file that is deleted while it is in use is written again with all that was in it", async () => {
  const place = await makePlace();
  const store = await place.open();
  await store.addImage(imageOf("a", "before"));
  for (const file of await readdir(place.directory)) await rm(join(place.directory, file));
  await store.addImage(imageOf("b", "after"));
  const another = await place.open();
  expect((await another.listImages()).map(({ names }) => names)).toEqual([["after"], ["before"]]);
  await Promise.all([store.close(), another.close()]);
  await place.remove();
});

test("a file that is deleted and cannot be written again stays in use", async () => {
  const place = await makePlace();
  const store = await place.open();
  await store.addImage(imageOf("a", "before"));
  for (const file of await readdir(place.directory)) await rm(join(place.directory, file));
  // It must go before the file has its name again, and does not.
  await mkdir(join(place.directory, "seeder.sqlite-wal"));
  await store.addImage(imageOf("b", "after"));
  expect((await store.listImages()).map(({ names }) => names)).toEqual([["after"], ["before"]]);
  await store.close();
  await place.remove();
});

test("what somebody writes with another tool is waited for", async () => {
  const place = await makePlace();
  const store = await place.open();
  const tool = new DatabaseSync(join(place.directory, "seeder.sqlite"));
  tool.exec("begin immediate");
  const added = store.addImage(imageOf("a", "image"));
  setTimeout(() => tool.exec("commit"), 100);
  await added;
  expect(await store.listImages()).toHaveLength(1);
  tool.close();
  await store.close();
  await place.remove();
});

test("a full disk is said to be full, and leaves nothing of the transaction that met it", async () => {
  const place = await makePlace();
  const thread = await SqliteThread.open(join(place.directory, "seeder.sqlite"), log);
  const database = new Kysely<unknown>({ dialect: new SqliteThreadDialect(thread) });
  await sql`create table filled (text text)`.execute(database);
  await sql`pragma max_page_count = 20`.execute(database);
  const fill = database.transaction().execute(async (transaction) => {
    for (let n = 0; n < 100; n++) await sql`insert into filled values (${"x".repeat(4_000)})`.execute(transaction);
  });
  await expect(fill).rejects.toMatchObject({ kind: "exhausted", message: expect.stringMatching(/disk .* is full/) });
  expect((await sql`select * from filled`.execute(database)).rows).toEqual([]);
  await database.destroy();
  await place.remove();
});

test("a statement that cannot be sent to the database's thread does not mix up the answers to others", async () => {
  const place = await makePlace();
  const thread = await SqliteThread.open(join(place.directory, "seeder.sqlite"), log);
  await expect(thread.run("select ?", [() => {}])).rejects.toThrow(/could not be cloned/);
  expect(await Promise.all([1, 2].map((n) => thread.run("select ? as n", [n])))).toMatchObject([
    { rows: [{ n: 1 }] },
    { rows: [{ n: 2 }] },
  ]);
  await thread.close();
  await place.remove();
});

test("of more retired images than are remembered the oldest are forgotten", async () => {
  const place = await makePlace();
  await (await place.open()).close();
  const database = new DatabaseSync(join(place.directory, "seeder.sqlite"));
  database.exec(
    `with recursive n(i) as (select 1 union all select i + 1 from n where i < ${retiredMax})
     insert into retired_images (digest, retired_at_ms) select printf('%064x', i), i from n`,
  );
  database.close();
  const store = await place.open();
  await store.addImage(imageOf("f", "image"));
  await store.removeImage("f".repeat(64), retiredMax + 1);
  const digests = [1, 2].map((n) => String(n).padStart(64, "0"));
  expect(await store.removedAmong([...digests, "f".repeat(64)])).toEqual(new Set([digests[1], "f".repeat(64)]));
  await store.close();
  await place.remove();
});

test("another file put in the place of one in use is left alone, and what to do is said", async () => {
  const place = await makePlace();
  const store = await place.open();
  const path = join(place.directory, "seeder.sqlite");
  await rm(path);
  await writeFile(path, "another");
  await expect(store.listImages()).rejects.toThrow(/another file was put in the place .*; start the seeder anew/);
  await store.close();
  expect(await readFile(path, "utf8")).toBe("another");
  await place.remove();
});
