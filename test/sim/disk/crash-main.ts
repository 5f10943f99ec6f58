/**
 * npm run crash: an agent's fetch on a simulated disk, crashed by the death of the process and by losses of power.
 *
 *     npm run crash -- --seeds 1000     a thousand fetches of six crashes each, from seed 1 (or --from) on
 *     npm run crash -- --seed 7         the one of seed 7: what it came to
 */
import { parseArgs } from "node:util";
import { type CrashReport, crashesOfARun, runCrashes } from "./crash-run.ts";

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
  const report = await runCrashes(seed, crashesOfARun);
  console.log(JSON.stringify(report, undefined, 1));
  if (report.violations.length > 0) process.exitCode = 1;
}

async function manySeeds(from: number, count: number): Promise<void> {
  const reports: CrashReport[] = [];
  for (let seed = from; seed < from + count; seed++) {
    const report = await runCrashes(seed, crashesOfARun);
    reports.push(report);
    if (report.violations.length === 0) continue;
    process.exitCode = 1;
    console.log(`seed ${seed}: ${report.violations.join("\n  ")}\n  repeat it with: npm run crash -- --seed ${seed}`);
  }
  const sum = (count: (report: CrashReport) => number) => reports.reduce((total, each) => total + count(each), 0);
  const failed = reports.filter(({ violations }) => violations.length > 0).length;
  const [kills, powerLosses] = [sum((each) => each.kills), sum((each) => each.powerLosses)];
  console.log(
    `${count} fetches, ${kills} deaths of the process, ${powerLosses} losses of power; ${failed} fetches failed`,
  );
  console.log(
    `${sum((each) => each.piecesFetched)} pieces fetched, ${sum((each) => each.fetchedTwice)} of them again after a crash; at most ${Math.max(...reports.map((each) => each.fetchedTwiceMax))} for one`,
  );
}
