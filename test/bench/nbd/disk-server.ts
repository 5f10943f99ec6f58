/** A process that serves one file as the agent does: `node disk-server.ts FILE SOCKET`. Says its URI in JSON. */
import { statSync } from "node:fs";
import { DiskHost } from "../../../agent/disk/disk-host.ts";
import { createLog } from "../../../daemon/log.ts";
import { systemClock } from "../../../swarm/system-clock.ts";

const [dataPath, socketPath] = process.argv.slice(2) as [string, string];
const nothing = () => {};
const host = new DiskHost({
  log: createLog({ level: "info", name: "disk-server" }),
  clock: systemClock,
  events: {
    demand: nothing,
    served: nothing,
    readFailed: nothing,
    lost: nothing,
    bootImageBad: nothing,
    stats: nothing,
  },
});
const digest = "0".repeat(64);
host.addImage({ digest, dataPath, sizeBytes: statSync(dataPath).size, complete: true });
const spec = { id: "bench", name: "bench", digest, listen: { socketPath }, readTimeoutMs: 60_000 };
console.log(JSON.stringify(await host.openExport(spec)));
