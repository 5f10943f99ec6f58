/** The store's contract on a real PostgreSQL, and what is said where one cannot be used. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createLog } from "../../daemon/log.ts";
import { openStore } from "../../seeder/store/open-store.ts";
import { inventoryContract, nodeChangeOf } from "../contract/inventory-contract.ts";
import { type StorePlace, storeContract } from "../contract/store-contract.ts";
import { startPostgres, type TestPostgres } from "../fixtures/postgres.ts";
import { temporaryDirectory } from "../fixtures/temporary-directory.ts";

const log = createLog({ level: "silent", name: "test" });
let server: TestPostgres;
beforeAll(async () => {
  server = await startPostgres();
});
afterAll(() => server.remove());

const open = (url: string, passwordFile = "") => openStore({ store: { url, passwordFile }, dataDirectory: "" }, log);

async function makePlace(): Promise<StorePlace> {
  const url = await server.createDatabase();
  return { open: () => open(url), remove: async () => {} };
}

storeContract("PostgreSQL", makePlace);
inventoryContract("PostgreSQL", makePlace);

describe("a PostgreSQL store", () => {
  test("gives no password away where the wrong one is given, and says where to give the right one", async () => {
    const url = (await server.createDatabase()).replace("swordfish", "haddock");
    const error = await open(url).then(String, String);
    expect(error).toMatch(/refuses this user; give the right password in PGPASSWORD/);
    expect(error).toMatch(/postgres:\/\/postgres@\//);
    expect(error).not.toContain("haddock");
  });

  test("takes the password from a file", async () => {
    const url = (await server.createDatabase()).replace(":swordfish", "");
    const file = join(await temporaryDirectory(), "password");
    await writeFile(file, "swordfish\n");
    const store = await open(url, file);
    expect(await store.listImages()).toEqual([]);
    await store.close();
    await expect(open(url)).rejects.toThrow(/asks for a password; give it in PGPASSWORD/);
  });

  test("says so where there is no such database, or no server", async () => {
    const url = await server.createDatabase();
    await expect(open(url.replace(/test_\d+/, "nothing"))).rejects.toThrow(/there is no database .*nothing.*; make it/);
    await expect(open(url.replace("sockets", "socket"))).rejects.toThrow(/does not answer; see that PostgreSQL runs/);
  });

  test("refuses a database that a newer version has changed, and leaves it as it is", async () => {
    const url = await server.createDatabase();
    await (await open(url)).close();
    await server.query(url, "insert into kysely_migration values ('999-later', '2030-01-01T00:00:00.000Z')");
    await expect(open(url)).rejects.toThrow(/newer version of bootswarm has changed it \(999-later\); start that/);
    expect(await server.query(url, "select name from kysely_migration where name = '999-later'")).toHaveLength(1);
  });

  test("is made by one of several seeders that start at once on an empty database", async () => {
    const url = await server.createDatabase();
    const stores = await Promise.all(Array.from({ length: 6 }, () => open(url)));
    for (const store of stores) {
      expect(await store.listImages()).toEqual([]);
      await store.close();
    }
  });

  test("that ends a seeder's connection while it plans does not end the seeder", async () => {
    const url = await server.createDatabase();
    const store = await open(url);
    const others = "from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";
    const planned = store.prefetch.planAlone("a", new Set(["a"]), async () => {
      await server.query(url, `select pg_terminate_backend(pid) ${others}`);
      // Each round gives this process its turn to hear of it.
      while ((await server.query(url, `select pid ${others}`)).length > 0);
      await server.query(url, "select 1");
      return [];
    });
    await expect(planned).rejects.toThrow(/does not answer; see that PostgreSQL runs/);
    expect(await store.listImages()).toEqual([]);
    await store.close();
  });

  test("gives a reader a node that was deleted by hand with the holdings that stayed, also before they are written again", async () => {
    const url = await server.createDatabase();
    const store = await open(url);
    const { inventory } = store;
    const node = nodeChangeOf("n1");
    await inventory.saveNodes("one", [node], []);
    const { mark } = await inventory.loadNodes();
    await server.query(url, "delete from nodes");
    await inventory.saveNodes("one", [{ ...node, holdings: undefined }], []);
    const before = await inventory.readNodes(mark, "two");
    expect(before.nodes).toEqual([node]);
    // They are as they were: this gives the reader nothing more.
    await inventory.saveNodes("one", [node], []);
    const after = await inventory.readNodes(before.mark, "two");
    expect(after.nodes).toEqual([{ ...node, holdings: { changed: [], removed: [] } }]);
    await store.close();
  });

  test("has a reader miss no node, however many seeders write at the same time", async () => {
    const url = await server.createDatabase();
    const [one, two, reader] = await Promise.all([open(url), open(url), open(url)]);
    let { mark } = await reader.inventory.loadNodes();
    const seen = new Set<string>();
    const read = async () => {
      const found = await reader.inventory.readNodes(mark, "reader");
      for (const { node } of found.nodes) seen.add(node.id);
      mark = found.mark;
    };
    let writing = true;
    const writers = [one, two].flatMap((store, who) =>
      Array.from({ length: 20 }, (_, n) => store.inventory.saveNodes(`${who}`, [nodeChangeOf(`n${who}-${n}`)], [])),
    );
    const written = Promise.all(writers).finally(() => {
      writing = false;
    });
    while (writing) await read();
    const changes = (await written).map((saved) => saved.mark.change);
    await read();
    expect(new Set(changes).size).toBe(40);
    expect(seen.size).toBe(40);
    await Promise.all([one, two, reader].map((store) => store.close()));
  });
});
