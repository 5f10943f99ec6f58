import { expect, test } from "vitest";
import { answerMsMax, delayMsMax, intervalMs, World } from "./world.ts";

const faultsUntilMs = 12_000;
/** Two intervals, and the time that a few messages travel. */
const healMsMax = 2 * intervalMs + 6 * delayMsMax;
const seeds = Array.from({ length: 60 }, (_, index) => index + 1);

test("whatever was lost, repeated, killed or deleted, the inventory is the nodes' truth two intervals later", async () => {
  for (const seed of seeds) {
    const world = new World(seed, 4);
    await troubledTime(world);
    await world.runUntil(world.lastFaultMs + healMsMax);
    expect(world.wrong(), `seed ${seed}`).toEqual([]);
    for (const node of world.nodes) node.stop();
  }
});

test("nodes whose holdings the database remembered rightly send no full report after a seeder's restart", async () => {
  const world = new World(1, 50);
  for (const node of world.nodes) for (let change = 0; change < 5; change++) node.change();
  await world.runUntil(3_000);
  const before = world.nodes.map(({ fullReports }) => fullReports);
  world.killSeeder();
  await world.runUntil(3_500);
  world.startSeeder();
  await world.runUntil(3_500 + healMsMax);
  expect(world.wrong()).toEqual([]);
  expect(world.nodes.map(({ fullReports }) => fullReports)).toEqual(before);
  for (const node of world.nodes) node.stop();
});

test("five hundred nodes of a deleted database are known again after two intervals, having sent one full report each", async () => {
  const world = new World(1, 500);
  for (const node of world.nodes) while (node.holdings.size === 0) node.change();
  await world.runUntil(3_000);
  for (const node of world.nodes) node.fullReports = 0;
  world.killSeeder();
  world.deleteDatabase();
  await world.runUntil(3_100);
  world.startSeeder();
  await world.runUntil(3_100 + healMsMax);
  expect(world.wrong()).toEqual([]);
  expect(new Set(world.nodes.map(({ fullReports }) => fullReports))).toEqual(new Set([1]));
  for (const node of world.nodes) node.stop();
});

/** Faults of every kind until a time, the last of which may be felt some time later. */
async function troubledTime(world: World): Promise<void> {
  const { random, queue } = world;
  world.faults = {
    requestLost: random.between(0, 0.3),
    answerLost: random.between(0, 0.3),
    repeated: random.between(0, 0.3),
  };
  while (queue.nowMs < faultsUntilMs) {
    await world.runUntil(queue.nowMs + random.between(1, 800));
    const node = random.pick(world.nodes);
    switch (random.below(8)) {
      case 0:
        node.start();
        world.harm();
        break;
      case 1:
        await restart(world, () => {});
        break;
      case 2:
        await restart(world, () => world.deleteDatabase());
        break;
      case 3:
        await restart(world, () => world.corruptDatabase());
        break;
      default:
        node.change();
    }
  }
  world.faults = { requestLost: 0, answerLost: 0, repeated: 0 };
  // Copies that are still on their way, and answers that are still waited for.
  await world.runUntil(queue.nowMs + Math.max(2 * intervalMs + delayMsMax, answerMsMax));
}

async function restart(world: World, meanwhile: () => void): Promise<void> {
  world.killSeeder();
  await world.runUntil(world.queue.nowMs + world.random.between(1, 2_000));
  meanwhile();
  world.startSeeder();
}
