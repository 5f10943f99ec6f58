/** Ours: the disk is attached at once, and its bytes come from the swarm as the VM reads. */

import type { LabProcess } from "../../swarm/lab-process.ts";
import type { BootCase } from "../case.ts";
import { type BenchAgent, imageName, startAgent, startSeeder } from "../daemons.ts";

/** (d) Nothing of the image is here, and nobody has booted it before. */
export const cold: BootCase = {
  name: "cold",
  title: "bootswarm: cold",
  start: async (scene, hosts) => {
    const processes: LabProcess[] = [await startSeeder(scene)];
    const agents = new Map<string, BenchAgent>();
    for (const host of hosts) {
      const agent = await startAgent(scene, host, {});
      agents.set(host.name, agent);
      processes.push(agent.process);
    }
    return {
      attach: async (host) => {
        const agent = agents.get(host.name) as BenchAgent;
        const { disk } = await agent.service.attachDisk({ image: imageName, name: "vm" });
        return { uri: (disk as { uri: string }).uri, format: "raw" };
      },
      [Symbol.asyncDispose]: async () => {
        for (const each of processes) await each.kill();
      },
    };
  },
};
