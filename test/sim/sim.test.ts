/** A few seeds of what `npm run sim` runs by the thousand, and the seeds that once found something. */
import { expect, test } from "vitest";
import { blockBytes } from "../../swarm/limits.ts";
import { runDemandReads } from "./demand-reads.ts";
import { EventQueue } from "./event-queue.ts";
import { runFaults } from "./fault-run.ts";
import { runFlashCrowd } from "./flash-crowd.ts";
import { runSlowPeer } from "./slow-peer.ts";

const seedsOfEveryRun = [1, 2, 3, 4, 5, 6, 7, 8];

test.each(seedsOfEveryRun)("a swarm in which things go wrong keeps its promises (seed %i)", async (seed) => {
  expect((await runFaults(seed)).violations).toEqual([]);
});

test("the end of a message does not overtake its beginning (seed 50)", async () => {
  expect((await runFaults(50)).violations).toEqual([]);
});

test("the same seed gives the same events", async () => {
  const [one, other] = [await runFaults(11), await runFaults(11)];
  expect(one.traceHash).toBe(other.traceHash);
  expect(one.events).toBe(other.events);
  expect((await runFaults(12)).traceHash).not.toBe(one.traceHash);
});

test("everybody in a flash crowd gets the image, within bounds on connections", async () => {
  const crowd = { seed: 1, nodes: 20, imageMib: 1, pieceKib: 32, linkMbit: 40, latencyMs: 0.5 };
  const report = await runFlashCrowd(crowd);
  expect(report.completed).toBe(20);
  // Simulated figures do not depend on the machine.
  const again = await runFlashCrowd(crowd);
  expect({ ...again, wallSeconds: 0, cpuSeconds: 0 }).toEqual({ ...report, wallSeconds: 0, cpuSeconds: 0 });
});

test("a slow peer does not hold up the end of a fetch: what is late is asked of a quick one too", async () => {
  const crowd = { pieces: 64, pieceKib: 256, quick: 1, slow: 1, slowKbit: 64, piecesOpenMax: 2 };
  for (const seed of [1, 4]) {
    const without = await runSlowPeer({ ...crowd, seed, hedging: false });
    const hedged = await runSlowPeer({ ...crowd, seed, hedging: true });
    expect(without.overLimit).toBeGreaterThan(4);
    expect(hedged.overLimit).toBeLessThan(3);
    expect(hedged.hedgedBlocks).toBeGreaterThan(0);
    // Each hedged block is asked of two or three, and wanted of one.
    expect(hedged.wastedBytes).toBeLessThan(2 * hedged.hedgedBlocks * blockBytes);
  }
});

const readers = {
  seed: 1,
  others: 7,
  seeds: 1,
  pieces: 128,
  pieceKib: 128,
  linkMbit: 50,
  latencyMs: 0.5,
  reads: 40,
  thinkMs: 5,
};

test("a piece that somebody waits for comes before everything else, in a busy swarm and where memory is short", async () => {
  const without = await runDemandReads({ ...readers, wanting: false });
  const told = await runDemandReads({ ...readers, wanting: true });
  const scarce = await runDemandReads({ ...readers, wanting: true, budgetPieces: 2 });
  expect(without.waitedMs.at(-1)).toBeGreaterThan(500);
  expect(medianOf(told.waitedMs)).toBeLessThan(200);
  expect(medianOf(scarce.waitedMs)).toBeLessThan(200);
});

test("a slow peer does not hold up a read: a block that is late is asked of others", async () => {
  const { waitedMs } = await runDemandReads({ ...readers, others: 0, seeds: 4, slowSeedKbit: 500, wanting: true });
  expect(waitedMs.at(-1)).toBeLessThan(1_000);
});

test("nodes that boot together in a known order trade what comes next, and hardly wait", async () => {
  const boots = { ...readers, others: 3, vms: true, thinkMs: 30, pieces: 512, reads: 256, wanting: true };
  const unordered = await runDemandReads(boots);
  const ordered = await runDemandReads({ ...boots, ordered: true });
  expect(ordered.allMs).toBeLessThan(0.75 * unordered.allMs);
});

test("events come in the order of their times, near and far, and those of one time in the order of their making", async () => {
  const queue = new EventQueue();
  const seen: number[] = [];
  for (const delayMs of [5_000, 0, 3, 1_500, 3, 90_000, 1_023.9, 1_024.1])
    queue.after(delayMs, () => seen.push(delayMs));
  queue.after(3, () => queue.after(0, () => seen.push(-3)));
  const cancel = queue.after(4, () => seen.push(-4));
  cancel();
  await queue.run(() => false);
  expect(seen).toEqual([0, 3, 3, -3, 1_023.9, 1_024.1, 1_500, 5_000, 90_000]);
  expect(queue.nowMs).toBe(90_000);
});

test("promises settle before the next event", async () => {
  const queue = new EventQueue();
  const seen: string[] = [];
  queue.after(1, async () => {
    for (let turn = 0; turn < 20; turn++) await undefined;
    seen.push("settled");
  });
  queue.after(1, () => seen.push("next"));
  await queue.run(() => false);
  expect(seen).toEqual(["settled", "next"]);
});

function medianOf(figures: readonly number[]): number {
  return figures[figures.length >> 1] ?? 0;
}
