/** nbdkit on a node, serving one export on a Unix socket. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { requireTool } from "../../fixtures/tools.ts";
import type { LabHost } from "../swarm/lab-plan.ts";
import { LabProcess } from "../swarm/lab-process.ts";
import type { Scene } from "./scene.ts";

const startTimeoutMs = 120_000;

/** Starts it with a plugin, filters and their parameters; resolves to the export's URI once it can be connected to. */
export async function startNbdkit(
  { lab, directory }: Scene,
  host: LabHost,
  args: string[],
): Promise<{ uri: string; process: LabProcess }> {
  requireTool("nbdkit");
  const socketPath = join(directory, `${host.name}.nbd`);
  const pidPath = join(directory, `${host.name}.nbdkit-pid`);
  const command = ["nbdkit", "--foreground", "--readonly", "--unix", socketPath, "--pidfile", pidPath, ...args];
  const process = new LabProcess(`nbdkit on ${host.name}`, lab.commandOn(host, command));
  const deadlineMs = performance.now() + startTimeoutMs;
  // It writes its pid when it listens.
  while (!existsSync(pidPath)) {
    if (process.child.exitCode !== null || performance.now() > deadlineMs) throw process.failure("does not listen");
    await sleep(5);
  }
  return { uri: `nbd+unix:///?socket=${socketPath}`, process };
}
