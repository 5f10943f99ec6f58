/** Where boots are measured: the images, and a lab of a seeder and nodes with links of a given rate and delay. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { toolEnv } from "../../fixtures/tools.ts";
import { Lab } from "../swarm/lab.ts";
import type { LabHost } from "../swarm/lab-plan.ts";
import { delayedWire } from "./delayed-wire.ts";
import type { BenchDisk } from "./disk.ts";
import type { BenchOptions } from "./options.ts";

/** What lies between a node and the seeder. */
export interface Link {
  megabitsPerSecond: number;
  /** Added to everything that the seeder sends: to each request's answer. */
  delayMs: number;
}

export interface Scene extends AsyncDisposable {
  lab: Lab;
  link: Link;
  disk: BenchDisk;
  /** For files of a run; removed with the scene. */
  directory: string;
  agentSettings: string[];
  /** Where each daemon's output is kept, if anywhere. */
  logDirectory: string | undefined;
}

export async function makeScene(link: Link, disk: BenchDisk, options: BenchOptions): Promise<Scene> {
  const bitsPerSecond = link.megabitsPerSecond * 1e6;
  const directory = mkdtempSync(join(options.directory, "bootswarm-boot-"));
  const lab = Lab.make({
    nodes: options.nodes,
    linkBitsPerSecond: bitsPerSecond,
    zones: 1,
    zoneLinkBitsPerSecond: bitsPerSecond,
    sysctls: [],
  });
  const { agentSettings, logDirectory } = options;
  const close = async () => {
    lab[Symbol.dispose]();
    rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
  };
  try {
    if (link.delayMs > 0) await delayedWire(lab, link.delayMs);
    return { lab, link, disk, directory, agentSettings, logDirectory, [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Bytes that a host has received so far, frames and all. */
export function receivedBytes(host: LabHost): number {
  const args = ["-n", host.namespace, "-s", "-j", "link", "show", "dev", host.device];
  const [device] = JSON.parse(execFileSync("ip", args, { env: toolEnv, encoding: "utf8" })) as {
    stats64: { rx: { bytes: number } };
  }[];
  return device?.stats64.rx.bytes ?? Number.NaN;
}
