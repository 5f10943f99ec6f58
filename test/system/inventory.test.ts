/** The inventory heals: agents and a seeder as processes, whose database goes. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { NodeState } from "../../proto/gen/bootswarm/seeder/v1/inventory_pb.js";
import {
  ensure,
  metric,
  publish,
  type Settings,
  startAgent,
  startSeeder,
  type TestAgent,
  type TestSeeder,
} from "../fixtures/daemons.ts";
import { makeRandomFile } from "../fixtures/disks.ts";
import { eventually } from "../fixtures/processes.ts";
import { temporaryDirectory } from "../fixtures/temporary-directory.ts";
import { freePort } from "../fixtures/torrents.ts";

const nodeCount = 3;
/**
 * Reports that an agent gets answered within two of its intervals, while nothing changes: the one that asks and the full
 * one, one an interval later, one two intervals later.
 */
const reportsInTwoIntervals = 4;

interface Scene {
  data: string;
  ports: Settings;
  seeder: TestSeeder;
  agents: TestAgent[];
  /** Of the images that every agent holds. */
  digests: string[];
}

async function openScene(): Promise<Scene> {
  const directory = await temporaryDirectory();
  const data = join(directory, "seeder");
  const [api, peers, dht] = [await freePort(), await freePort(), await freePort()];
  const ports = { listen: `127.0.0.1:${api}`, "swarm.port": peers, "dht.port": dht };
  const seeder = await startSeeder(data, ports);
  const numbers = Array.from({ length: nodeCount }, (_, index) => index + 1);
  const agents = await Promise.all(numbers.map((n) => startAgent(seeder.url, join(directory, `n${n}`), {}, `n${n}`)));
  const digests: string[] = [];
  for (const name of ["one", "two"]) {
    digests.push((await publish(seeder, await makeRandomFile(directory, name, 1), name)).digest);
    for (const agent of agents) await ensure(agent, name);
  }
  await eventually(async () => (await isComplete(seeder, digests)) || undefined, "all is reported");
  return { data, ports, seeder, agents, digests };
}

async function isComplete({ inventory }: TestSeeder, digests: readonly string[]): Promise<boolean> {
  for (const digest of digests) {
    const { nodes } = await inventory.listHoldings({ image: digest });
    if (nodes.filter(({ holding, nodeState }) => holding && nodeState === NodeState.UP).length < nodeCount)
      return false;
  }
  return true;
}

async function removeDatabase(data: string): Promise<void> {
  for (const ending of ["", "-wal", "-shm"]) await rm(join(data, `seeder.sqlite${ending}`), { force: true });
}

const answered = (agent: TestAgent) => metric(agent, 'bootswarm_agent_reports_total{result="ok"}');

/** Waits until all is known, and fails if an agent has reported for two intervals before. */
async function completeInTwoIntervals({ agents, digests }: Scene, seeder: TestSeeder, before: number[]): Promise<void> {
  await eventually(async () => {
    // Counted before the look: what is answered since may not be seen yet.
    const counts = await Promise.all(agents.map(answered));
    if (await isComplete(seeder, digests)) return true;
    const reports = counts.map((count, index) => count - (before[index] as number));
    expect(Math.min(...reports), "reports of every agent, and yet not all is known").toBeLessThan(
      reportsInTwoIntervals,
    );
    return undefined;
  }, "the inventory is complete");
}

test("after a kill and the loss of its database, the inventory is complete again within two report intervals", async () => {
  const scene = await openScene();
  await scene.seeder.process.kill("SIGKILL");
  await removeDatabase(scene.data);
  const before = await Promise.all(scene.agents.map(answered));
  const again = await startSeeder(scene.data, scene.ports);
  await completeInTwoIntervals(scene, again, before);
  expect(await metric(again, 'bootswarm_seeder_reports_total{kind="full"}')).toBe(nodeCount);
});

test("a database removed while the seeder runs costs nothing, and after a restart the inventory is complete soon", async () => {
  const scene = await openScene();
  await removeDatabase(scene.data);
  const counted = await Promise.all(scene.agents.map(answered));
  await eventually(async () => {
    const now = await Promise.all(scene.agents.map(answered));
    return now.every((count, index) => count >= (counted[index] as number) + 2) || undefined;
  }, "every agent reports on");
  expect(await isComplete(scene.seeder, scene.digests)).toBe(true);
  await scene.seeder.process.kill("SIGTERM");
  const before = await Promise.all(scene.agents.map(answered));
  await completeInTwoIntervals(scene, await startSeeder(scene.data, scene.ports), before);
});
