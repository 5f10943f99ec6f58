/**
 * npm run soak: an agent as a process is killed with SIGKILL at so many random moments of a fetch loop. What it lost is
 * printed, and added to the runs in --out.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { makeTemporaryDirectory } from "../../fixtures/temporary-directory.ts";
import { withinTest } from "../../fixtures/test-hooks.ts";
import { imageMiB, type KillReport, killAgain } from "../../system/kill-loop.ts";
import { commandLine } from "../command-line.ts";
import { runFacts } from "../machine.ts";

const values = commandLine("soak", "an agent as a process is killed with SIGKILL at random moments of a fetch loop", {
  kills: { default: 200, means: "how often" },
  out: {
    value: "FILE",
    default: `test/bench/results/soak-${new Date().toISOString().slice(0, 10)}.json`,
    means: "the run is added to those in it; empty: not",
  },
});

const ending: (() => Promise<void> | void)[] = [];
const { path, remove } = await makeTemporaryDirectory();
// The fixtures belong to tests, which end what they start.
const hooks = { onTestFinished: (run: () => Promise<void> | void) => void ending.push(run), onTestFailed: () => {} };
try {
  await withinTest(hooks, soak);
} finally {
  for (const end of ending.reverse()) await end();
  await remove();
}

async function soak(): Promise<void> {
  const report = await killAgain(path, values.kills, ({ kills, images, faults, piecesLost }) => {
    if (kills % 10 === 0)
      console.log(`${kills} kills, ${images} images, ${faults.length} faults, ${piecesLost} pieces lost`);
  });
  console.log(JSON.stringify(report, undefined, 1));
  if (values.out) keep(values.out, report);
  if (report.faults.length > 0) process.exitCode = 1;
}

/** Adds the run to those that the file has. */
function keep(out: string, report: KillReport): void {
  const earlier = existsSync(out) ? JSON.parse(readFileSync(out, "utf8")).runs : [];
  writeFileSync(out, `${JSON.stringify({ ...runFacts(), imageMiB, runs: [...earlier, report] }, undefined, 1)}\n`);
}
