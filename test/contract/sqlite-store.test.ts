import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openSqliteStore } from "../../seeder/store/sqlite.ts";
import { inventoryContract } from "./inventory-contract.ts";
import { type StorePlace, storeContract } from "./store-contract.ts";

async function makePlace(): Promise<StorePlace> {
  const directory = await mkdtemp(join(tmpdir(), "bootswarm-store-"));
  return {
    open: () => openSqliteStore(join(directory, "seeder.sqlite")),
    remove: () => rm(directory, { recursive: true }),
  };
}

storeContract("SQLite", makePlace);
inventoryContract("SQLite", makePlace);

test("a file that is no database is refused with its path and what to do, and left as it is", async () => {
  const directory = await mkdtemp(join(tmpdir(), "bootswarm-store-"));
  const path = join(directory, "seeder.sqlite");
  await writeFile(path, "x".repeat(10_000));
  await expect(openSqliteStore(path)).rejects.toThrow(/cannot use the database .*seeder\.sqlite .*not a database/);
  await rm(directory, { recursive: true });
});
