/** The NBD servers that are compared: each serves the same file on a Unix socket of its own. And the plain file. */
import { connect } from "node:net";
import { join } from "node:path";
import { BenchChild } from "../child.ts";
import type { Target } from "./loads.ts";

export const contenders = ["bootswarm", "qemu-nbd", "nbdkit", "file"] as const;
export type Contender = (typeof contenders)[number];

export interface BenchServer {
  contender: Contender;
  target: Target;
  /** Absent for the plain file. */
  process?: BenchChild;
}

/** What an agent's Node is started with (bin/bootswarm.js). */
const agentFlags = ["--max-semi-space-size=1"];

/** Starts the servers, but for those that are there. */
export async function startServers(
  file: string,
  folder: string,
  there: readonly BenchServer[],
  running: AsyncDisposableStack,
): Promise<BenchServer[]> {
  const servers: BenchServer[] = [];
  for (const contender of contenders) {
    const known = there.find((server) => server.contender === contender);
    if (known) servers.push(known);
    else if (contender === "file") servers.push({ contender, target: { path: file } });
    else servers.push(await startServer(contender, file, folder, running));
  }
  return servers;
}

async function startServer(
  contender: Exclude<Contender, "file">,
  file: string,
  folder: string,
  running: AsyncDisposableStack,
): Promise<BenchServer> {
  const socketPath = join(folder, `${contender}.sock`);
  const process = running.use(new BenchChild(commandOf(contender, file, socketPath)));
  await answering(socketPath);
  const name = contender === "bootswarm" ? "bench" : "";
  return { contender, process, target: { uri: `nbd+unix:///${name}?socket=${socketPath}` } };
}

function commandOf(contender: Exclude<Contender, "file">, file: string, socketPath: string): string[] {
  switch (contender) {
    case "bootswarm":
      return [process.execPath, ...agentFlags, join(import.meta.dirname, "disk-server.ts"), file, socketPath];
    case "qemu-nbd":
      // As many connections as nbdcopy may want; the default is one.
      return ["qemu-nbd", "--read-only", "--persistent", "--shared=16", "--format=raw", `--socket=${socketPath}`, file];
    case "nbdkit":
      return ["nbdkit", "--foreground", "--readonly", "--unix", socketPath, "file", file];
  }
}

/** Waits until somebody listens there. */
async function answering(socketPath: string): Promise<void> {
  const endMs = performance.now() + 30_000;
  for (;;) {
    const isThere = await new Promise<boolean>((resolve) => {
      const socket = connect(socketPath);
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
      socket.once("connect", () => socket.destroy());
    });
    if (isThere) return;
    if (performance.now() > endMs) throw new Error(`nobody listens on ${socketPath}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
