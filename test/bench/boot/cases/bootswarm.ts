/** Ours: the disk is attached at once, and its bytes come as the VM reads. Nothing of the image itself is on the node. */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { benchImage, makeBootImage } from "../../policies/image.ts";
import { usageOf } from "../../process-usage.ts";
import type { LabProcess } from "../../swarm/lab-process.ts";
import type { BootCase } from "../case.ts";
import { type BenchAgent, imageName, startAgent, startSeeder } from "../daemons.ts";
import { made } from "../disk.ts";
import type { Scene } from "../scene.ts";
import { accelerator } from "../vm.ts";

const bootImageTimeoutMs = 300_000;

/** (d) Nobody has booted the image before. */
export const cold = ours("cold", "bootswarm: cold, never booted before", { isBootKnown: false, prefetch: "off" });

/** (e) Its boot is known to the catalog: the profile orders the image's pieces, and the boot image is on its way too. */
export const profile = ours("profile", "bootswarm: cold, its boot is known", { isBootKnown: true, prefetch: "off" });

/** (f) The boot image is here, as it is on every node of a site by default. */
export const bootImage = ours("boot-image", "bootswarm: boot image here", { isBootKnown: true, prefetch: "all" });

function ours(
  name: string,
  title: string,
  { isBootKnown, prefetch }: { isBootKnown: boolean; prefetch: string },
): BootCase {
  return {
    name,
    title,
    start: async (scene, hosts) => {
      const seeder = await startSeeder(scene, isBootKnown ? await bootImagePath(scene) : undefined);
      const processes: LabProcess[] = [seeder];
      const agents = new Map<string, BenchAgent>();
      for (const host of hosts) {
        const agent = await startAgent(scene, host, { "boot.prefetch": prefetch });
        agents.set(host.name, agent);
        processes.push(agent.process);
      }
      if (prefetch === "all") for (const agent of agents.values()) await untilBootImageHere(agent);
      const agentOn = (host: { name: string }) => agents.get(host.name) as BenchAgent;
      return {
        attach: async (host) => {
          const { disk } = await agentOn(host).service.attachDisk({ image: imageName, name: "vm" });
          return { uri: (disk as { uri: string }).uri, format: "raw" };
        },
        served: async (host) => {
          const { disks } = await agentOn(host).service.listDisks({});
          const [disk] = disks;
          return {
            bootImageBytes: Number(disk?.bootImageBytes),
            fileBytes: Number(disk?.fileBytes),
            demandBytes: Number(disk?.demandBytes),
          };
        },
        daemonsCpu: (host) => ({
          agentSeconds: usageOf(agentOn(host).process.pid).cpuSeconds,
          seederSeconds: usageOf(seeder.pid).cpuSeconds,
        }),
        [Symbol.asyncDispose]: async () => {
          for (const each of processes) await each.kill();
        },
      };
    },
  };
}

/** The boot image of a boot that was recorded once, kept beside the disk. */
async function bootImagePath({ disk }: Scene): Promise<string> {
  const directory = dirname(disk.rawPath);
  const path = join(directory, "debian.boot");
  if (existsSync(path)) return path;
  const image = await benchImage(directory, "debian", accelerator());
  await made(directory, path, async (inside) => {
    const making = join(inside, "boot");
    await makeBootImage(image, making);
    return making;
  });
  return path;
}

async function untilBootImageHere({ service, process }: BenchAgent): Promise<void> {
  const deadlineMs = performance.now() + bootImageTimeoutMs;
  for (;;) {
    const { bootImages } = await service.listBootImages({});
    if (bootImages.length > 0) return;
    if (performance.now() > deadlineMs) throw process.failure("does not fetch the boot image");
    await sleep(100);
  }
}
