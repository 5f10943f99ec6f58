/**
 * npm run model: random things done to an agent and its simulated disk, against a model of what must hold.
 *
 *     npm run model -- --seeds 1000     a thousand agents, from seed 1 (or --from) on
 *     npm run model -- --seed 7         the one of seed 7
 */
import { parseArgs } from "node:util";
import { runModel, stepsOfARun } from "./model-run.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "100" },
    from: { type: "string", default: "1" },
    seed: { type: "string" },
  },
});

if (values.seed) await oneSeed(Number(values.seed));
else await manySeeds(Number(values.from), Number(values.seeds));

async function oneSeed(seed: number): Promise<void> {
  const report = await runModel(seed);
  console.log(JSON.stringify(report, undefined, 1));
  if (report.violations.length > 0) process.exitCode = 1;
}

async function manySeeds(from: number, count: number): Promise<void> {
  const done: Record<string, number> = {};
  let failed = 0;
  for (let seed = from; seed < from + count; seed++) {
    const report = await runModel(seed);
    for (const [name, times] of Object.entries(report.done)) done[name] = (done[name] ?? 0) + times;
    if (report.violations.length === 0) continue;
    failed++;
    process.exitCode = 1;
    console.log(`seed ${seed}: ${report.violations.join("\n  ")}\n  repeat it with: npm run model -- --seed ${seed}`);
  }
  const parts = Object.entries(done).map(([name, times]) => `${name} ${times}`);
  console.log(`${count} agents, ${stepsOfARun} things done to each; ${failed} failed`);
  console.log(parts.sort().join(", "));
}
