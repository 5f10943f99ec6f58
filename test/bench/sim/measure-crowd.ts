/** One flash crowd in a process of its own, so that its memory is its own too. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import type { FlashCrowdOptions, FlashCrowdReport } from "../../sim/flash-crowd.ts";

export type CrowdRun = FlashCrowdReport & { peakRssMib: number };

/** Ten thousand nodes take some gigabytes; a young generation of this size spares most of what would be copied. */
const nodeFlags = ["--max-old-space-size=16000", "--max-semi-space-size=64"];

/** @throws Error if the run fails */
export function measureCrowd(options: Omit<FlashCrowdOptions, "onProgress">): CrowdRun {
  const script = join(import.meta.dirname, "measure.ts");
  const { status, stdout } = spawnSync(process.execPath, [...nodeFlags, script, JSON.stringify(options)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (status !== 0) throw new Error(`the run with ${options.nodes} nodes failed`);
  return JSON.parse(stdout.toString()) as CrowdRun;
}
