/**
 * npm run sim: the production swarm in simulated time.
 *
 *     npm run sim -- --seeds 1000          a thousand small swarms in which things go wrong, from seed 1 (or --from) on
 *     npm run sim -- --seed 7              the one of seed 7: its plan, and what it came to
 *     npm run sim -- --nodes 1000 --image-mib 16 --piece-kib 256 --link-mbit 40     a flash crowd, measured
 *         --timeline 100     and how it goes, every 100 ms
 */
import { parseArgs } from "node:util";
import { runFaults } from "./fault-run.ts";
import { type FlashCrowdReport, runFlashCrowd } from "./flash-crowd.ts";
import { timelineText } from "./timeline.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string" },
    from: { type: "string", default: "1" },
    seed: { type: "string" },
    nodes: { type: "string" },
    "image-mib": { type: "string", default: "16" },
    "piece-kib": { type: "string", default: "256" },
    "link-mbit": { type: "string", default: "40" },
    "latency-ms": { type: "string", default: "0.5" },
    timeline: { type: "string" },
    verbose: { type: "boolean", default: false },
  },
});

if (values.nodes) await flashCrowd(Number(values.nodes));
else if (values.seed) await oneSeed(Number(values.seed));
else await manySeeds(Number(values.from), Number(values.seeds ?? 100));

async function flashCrowd(nodes: number): Promise<void> {
  const report = await runFlashCrowd({
    seed: Number(values.seed ?? 1),
    nodes,
    imageMib: Number(values["image-mib"]),
    pieceKib: Number(values["piece-kib"]),
    linkMbit: Number(values["link-mbit"]),
    latencyMs: Number(values["latency-ms"]),
    ...(values.timeline && { timelineEveryMs: Number(values.timeline) }),
    ...(values.verbose && {
      onProgress: (nowMs: number, complete: number, share: number) =>
        console.log(`${(nowMs / 1_000).toFixed(2)} s: ${(share * 100).toFixed(0)} % here, ${complete} complete`),
    }),
  });
  if (report.timeline) console.log(timelineText(report.timeline, report.limitMs));
  for (const line of linesOf(report)) console.log(line);
  if (report.completed < nodes) process.exitCode = 1;
}

function linesOf(report: FlashCrowdReport): string[] {
  const { dht } = report;
  return [
    `${report.completed} of ${report.nodes} nodes complete; the limit is ${(report.limitMs / 1_000).toFixed(2)} s`,
    `completion over the limit: slowest ${report.slowestOverLimit.toFixed(3)}, median ${report.medianOverLimit.toFixed(3)}, fastest ${report.fastestOverLimit.toFixed(3)}`,
    `seed copies: ${report.seedCopies.toFixed(2)}`,
    `connections a node: mean ${report.connectionsMean.toFixed(1)}, max ${report.connectionsMax}; dialled ${report.dialsMean.toFixed(1)}`,
    `DHT: ${dht.lookupsPerNode.toFixed(1)} look-ups and ${dht.datagramsPerNode.toFixed(0)} datagrams a node, ${dht.datagramsAtKeyNodes} at those that keep the key`,
    `received over image: ${report.receivedOverImage.toFixed(3)}; payload wasted: ${(report.wastedShare * 100).toFixed(2)} %`,
    `wall: ${report.wallSeconds.toFixed(1)} s, CPU ${report.cpuSeconds.toFixed(1)} s, ${report.events} events`,
  ];
}

async function oneSeed(seed: number): Promise<void> {
  const report = await runFaults(seed);
  console.log(JSON.stringify(report, undefined, 1));
  if (report.violations.length > 0) process.exitCode = 1;
}

async function manySeeds(from: number, count: number): Promise<void> {
  let failed = 0;
  let slowest = { seed: 0, recoveredAfterMs: 0 };
  const startedAtMs = performance.now();
  for (let seed = from; seed < from + count; seed++) {
    const report = await runFaults(seed).catch((error: Error) => ({
      violations: [`it ended with ${error.stack}`],
      recoveredAfterMs: 0,
    }));
    if (report.violations.length > 0) {
      failed++;
      console.log(`seed ${seed}: ${report.violations.join("\n  ")}\n  repeat it with: npm run sim -- --seed ${seed}`);
    }
    if (report.recoveredAfterMs > slowest.recoveredAfterMs) slowest = { seed, ...report };
    if ((seed - from + 1) % 50 === 0) {
      console.log(
        `${seed - from + 1} seeds, ${failed} failed, ${((performance.now() - startedAtMs) / 1_000).toFixed(0)} s`,
      );
    }
  }
  const recovery = `${(slowest.recoveredAfterMs / 1_000).toFixed(1)} s after the last fault (seed ${slowest.seed})`;
  console.log(`${count} seeds, ${failed} failed; the slowest was complete ${recovery}`);
  if (failed > 0) process.exitCode = 1;
}
