/**
 * npm run sim: the production swarm in simulated time.
 *
 *     npm run sim -- --nodes 1000 --image-mib 16 --piece-kib 256 --link-mbit 40     a flash crowd, measured
 */
import { parseArgs } from "node:util";
import { runFlashCrowd } from "./flash-crowd.ts";

const { values } = parseArgs({
  options: {
    nodes: { type: "string" },
    seed: { type: "string", default: "1" },
    "image-mib": { type: "string", default: "16" },
    "piece-kib": { type: "string", default: "256" },
    "link-mbit": { type: "string", default: "40" },
    "latency-ms": { type: "string", default: "0.5" },
    verbose: { type: "boolean", default: false },
  },
});

const report = await runFlashCrowd({
  seed: Number(values.seed),
  nodes: Number(values.nodes ?? 1000),
  imageMib: Number(values["image-mib"]),
  pieceKib: Number(values["piece-kib"]),
  linkMbit: Number(values["link-mbit"]),
  latencyMs: Number(values["latency-ms"]),
  ...(values.verbose && {
    onProgress: (nowMs: number, complete: number) => console.log(`${(nowMs / 1_000).toFixed(2)} s: ${complete}`),
  }),
});
console.log(report);
