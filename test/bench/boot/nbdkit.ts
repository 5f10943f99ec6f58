/** nbdkit, serving one export on a Unix socket. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { requireTool } from "../../fixtures/tools.ts";
import type { LabHost } from "../swarm/lab-plan.ts";
import { LabProcess } from "../swarm/lab-process.ts";
import type { Scene } from "./scene.ts";

const startTimeoutMs = 120_000;

export interface Nbdkit {
  uri: string;
  process: LabProcess;
}

/** Starts it on a node with a plugin, filters and their parameters; resolves to the export's URI once it can be connected to. */
export async function startNbdkitOn({ lab, directory }: Scene, host: LabHost, args: string[]): Promise<Nbdkit> {
  return await startNbdkit(join(directory, host.name), args, (command) => lab.commandOn(host, command));
}

/** The same here. `path`: what the socket's path begins with; `wrap` says how it is run. */
export async function startNbdkit(
  path: string,
  args: string[],
  wrap: (command: string[]) => string[] = (command) => command,
): Promise<Nbdkit> {
  requireTool("nbdkit");
  const socketPath = `${path}.nbd`;
  const pidPath = `${path}.nbdkit-pid`;
  const command = ["nbdkit", "--foreground", "--readonly", "--unix", socketPath, "--pidfile", pidPath, ...args];
  const process = new LabProcess("nbdkit", wrap(command));
  const deadlineMs = performance.now() + startTimeoutMs;
  // It writes its pid when it listens.
  while (!existsSync(pidPath)) {
    if (process.child.exitCode !== null || performance.now() > deadlineMs) throw process.failure("does not listen");
    await sleep(5);
  }
  return { uri: `nbd+unix:///?socket=${socketPath}`, process };
}
