/** Two seeders as processes on one PostgreSQL: each knows what agents report to the other, whatever becomes of the database. */
import { join } from "node:path";
import { request } from "undici";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { NodeState } from "../../proto/gen/bootswarm/seeder/v1/inventory_pb.js";
import { ensure, metric, publish, startAgent, startSeeder, type TestSeeder } from "../fixtures/daemons.ts";
import { makeRandomFile } from "../fixtures/disks.ts";
import { startPostgres, type TestPostgres } from "../fixtures/postgres.ts";
import { eventually } from "../fixtures/processes.ts";
import { temporaryDirectory } from "../fixtures/temporary-directory.ts";

let server: TestPostgres;
beforeAll(async () => {
  server = await startPostgres();
});
afterAll(() => server.remove());

async function startPair() {
  const directory = await temporaryDirectory();
  const url = await server.createDatabase();
  const start = (name: string) => startSeeder(join(directory, name), { "store.url": url });
  const [one, two] = await Promise.all([start("one"), start("two")]);
  return { directory, url, one, two };
}

/** A seeder's word about a node, in short: its state and the first letters of the images it holds. */
async function wordOf(seeder: TestSeeder, name: string): Promise<string> {
  const { node, holdings } = await seeder.inventory
    .getNode({ node: name })
    .catch(() => ({ node: undefined, holdings: [] }));
  if (!node) return "unknown";
  const letters = holdings.map(({ digest }) => digest.slice(0, 4)).sort();
  return [node.state === NodeState.UP ? "up" : "lost", ...letters].join(" ");
}

async function sayOf(seeders: TestSeeder[], name: string, wanted: string): Promise<void> {
  await eventually(async () => {
    const words = await Promise.all(seeders.map((seeder) => wordOf(seeder, name)));
    return words.every((word) => word === wanted) ? true : undefined;
  }, `all seeders say of ${name}: ${wanted}`);
}

async function statusOf(seeder: TestSeeder, path: string): Promise<[number, string]> {
  const { statusCode, body } = await request(`${seeder.url}${path}`);
  return [statusCode, await body.text()];
}

describe("two seeders on one database", () => {
  test("both know a node that reports to one, what it holds, when it is lost, and that it moved to the other", async () => {
    const { directory, one, two } = await startPair();
    const { digest } = await publish(one, await makeRandomFile(directory, "image", 2), "image");
    const letters = digest.slice(0, 4);
    const state = join(directory, "node");
    const agent = await startAgent(one.url, state, {}, "node");
    await sayOf([one, two], "node", "up");
    await ensure(agent, "image");
    await sayOf([one, two], "node", `up ${letters}`);
    const { nodes } = await two.inventory.listHoldings({ image: "image" });
    expect(nodes).toMatchObject([{ nodeName: "node", nodeState: NodeState.UP, holding: { digest } }]);
    await agent.process.kill("SIGKILL");
    await sayOf([one, two], "node", `lost ${letters}`);
    const moved = await startAgent(two.url, state, {}, "node");
    await sayOf([one, two], "node", `up ${letters}`);
    await moved.service.removeImage({ image: digest });
    await sayOf([one, two], "node", "up");
    expect(await metric(one, 'bootswarm_seeder_nodes{state="up"}')).toBe(1);
  });

  test("answer reports while the database is away, say so, and are in step again when it is back", async () => {
    const { directory, one, two } = await startPair();
    const { digest } = await publish(one, await makeRandomFile(directory, "image", 2), "image");
    const agent = await startAgent(one.url, join(directory, "node"), {}, "node");
    await sayOf([one, two], "node", "up");
    await server.stop();
    try {
      await eventually(async () => ((await statusOf(one, "/readyz"))[0] === 503 ? true : undefined), "it is not ready");
      expect((await statusOf(one, "/readyz"))[1]).toMatch(
        /the inventory cannot be saved: the database .*does not answer/,
      );
      const failed = 'bootswarm_seeder_store_operations_total{operation="write",result="failed"}';
      expect(await metric(one, failed)).toBeGreaterThan(0);
      const taken = await metric(one, 'bootswarm_seeder_reports_total{kind="delta"}');
      await eventually(async () => {
        const now = await metric(one, 'bootswarm_seeder_reports_total{kind="delta"}');
        return now >= taken + 5 ? true : undefined;
      }, "reports are taken");
      expect(await wordOf(one, "node")).toBe("up");
      // Nobody has told the other that it is lost.
      expect(await wordOf(two, "node")).toBe("up");
      await expect(two.catalog.getImage({ image: "image" })).rejects.toThrow(/unavailable.*does not answer/);
    } finally {
      await server.start();
    }
    await eventually(async () => ((await statusOf(one, "/readyz"))[0] === 200 ? true : undefined), "it is ready");
    await ensure(agent, "image");
    await sayOf([one, two], "node", `up ${digest.slice(0, 4)}`);
    // One line when it went, one when it was back.
    expect(one.process.output().match(/cannot save the inventory/g)).toHaveLength(1);
    expect(one.process.output().match(/the inventory is saved again/g)).toHaveLength(1);
    expect(one.process.output()).not.toContain("swordfish");
  });

  test("fill the database again after tables of the inventory were emptied", async () => {
    const { directory, url, one, two } = await startPair();
    const { digest } = await publish(one, await makeRandomFile(directory, "image", 2), "image");
    const letters = digest.slice(0, 4);
    const [first] = await Promise.all(
      [one, two].map((seeder, n) => startAgent(seeder.url, join(directory, `node-${n}`), {}, `node-${n}`)),
    );
    await ensure(first!, "image");
    await sayOf([one, two], "node-0", `up ${letters}`);
    await sayOf([one, two], "node-1", "up");
    const counts =
      "select (select count(*) from nodes)::int as nodes, (select count(*) from holdings)::int as holdings";
    for (const sql of ["truncate inventory_state, nodes, holdings", "delete from nodes", "delete from holdings"]) {
      await server.query(url, sql);
      await eventually(async () => {
        const [rows] = await server.query(url, counts);
        return rows?.nodes === 2 && rows.holdings === 1 ? true : undefined;
      }, `the tables are full again after: ${sql}`);
      await sayOf([one, two], "node-0", `up ${letters}`);
      await sayOf([one, two], "node-1", "up");
    }
  });
});
