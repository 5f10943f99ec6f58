/** One flash crowd, its options as JSON in the first argument; prints its report. */
import { type FlashCrowdOptions, runFlashCrowd } from "../../sim/flash-crowd.ts";

const report = await runFlashCrowd(JSON.parse(process.argv[2] ?? "{}") as FlashCrowdOptions);
console.log(JSON.stringify({ ...report, peakRssMib: process.resourceUsage().maxRSS / 1024 }));
