/** One flash crowd, its options as JSON in the first argument; prints its report, and how a large one goes to stderr. */
import { type FlashCrowdOptions, runFlashCrowd } from "../../sim/flash-crowd.ts";

/** Of a smaller one the end is near. */
const slowFromNodes = 1_000;

const options = JSON.parse(process.argv[2] ?? "{}") as FlashCrowdOptions;
if (options.nodes >= slowFromNodes) options.onProgress = tellProgress;
const report = await runFlashCrowd(options);
console.log(JSON.stringify({ ...report, peakRssMib: process.resourceUsage().maxRSS / 1024 }));

function tellProgress(nowMs: number, complete: number, share: number): void {
  const { user, system } = process.cpuUsage();
  console.error(
    `${options.nodes} nodes, ${(nowMs / 1_000).toFixed(2)} s: ${(share * 100).toFixed(1)} % here, ${complete} complete; ` +
      `${((user + system) / 1e6).toFixed(0)} CPU s, ${(process.memoryUsage.rss() / 2 ** 20).toFixed(0)} MiB`,
  );
}
