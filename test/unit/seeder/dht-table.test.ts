import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createLog } from "../../../daemon/log.ts";
import { keepDhtTable } from "../../../seeder/dht-table.ts";
import type { Endpoint } from "../../../swarm/types.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";

const log = createLog({ level: "silent", name: "test" });

/** A table that remembers what it was given. */
const tableOf = (...nodes: Endpoint[]) => ({
  nodes,
  addBootstrap: (more: readonly Endpoint[]) => void nodes.push(...more),
  dhtNodes: () => nodes,
});

test("nodes known at the last stop are known again at the next start", async () => {
  const directory = await temporaryDirectory();
  const node = { host: "127.0.0.1", port: 7411 };
  await (await keepDhtTable(tableOf(node), directory, log)).close();
  const next = tableOf();
  await (await keepDhtTable(next, directory, log)).close();
  expect(next.nodes).toEqual([node]);
});

test.each(["", "garbage", "{}", '[{"host": 1}]', '[{"host": "a", "port": 70000}]'])(
  "a file of %j is passed over and replaced",
  async (text) => {
    const directory = await temporaryDirectory();
    await writeFile(join(directory, "dht-nodes.json"), text);
    const table = tableOf();
    await (await keepDhtTable(table, directory, log)).close();
    expect(table.nodes).toEqual([]);
    expect(await readFile(join(directory, "dht-nodes.json"), "utf8")).toBe("[]");
  },
);
