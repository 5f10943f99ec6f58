/**
 * (c) nbdkit reads the raw image from an HTTP origin on demand: its curl plugin, with its cache filter keeping what was read.
 * Its readahead filter does nothing above this plugin, which serves one request at a time (nbdkit-readahead-filter(1)).
 */
import { basename } from "node:path";
import type { LabProcess } from "../../swarm/lab-process.ts";
import type { BootCase } from "../case.ts";
import { startNbdkitOn } from "../nbdkit.ts";
import { startNginx } from "../nginx.ts";

export const nbdkitCurl: BootCase = {
  name: "nbdkit-curl",
  title: "nbdkit from an HTTP origin on demand (curl plugin, cache filter)",
  start: async (scene) => {
    const origin = await startNginx(scene);
    const processes: LabProcess[] = [];
    return {
      attach: async (host) => {
        const url = `${origin.url}${basename(scene.disk.rawPath)}`;
        const filters = ["--filter=readahead", "--filter=cache"];
        const started = await startNbdkitOn(scene, host, [...filters, "curl", `url=${url}`, "cache-on-read=true"]);
        processes.push(started.process);
        return { uri: started.uri, format: "raw" };
      },
      linkRequests: () => origin.requests(),
      [Symbol.asyncDispose]: async () => {
        for (const each of processes) await each.kill();
        await origin[Symbol.asyncDispose]();
      },
    };
  },
};
