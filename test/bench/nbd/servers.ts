/** The NBD servers that are compared: each serves the same file on a Unix socket of its own. */
import { connect } from "node:net";
import { join } from "node:path";
import { BenchChild } from "../child.ts";

export const contenders = ["bootswarm", "qemu-nbd", "nbdkit"] as const;
export type Contender = (typeof contenders)[number];

export interface BenchServer {
  contender: Contender;
  process: BenchChild;
  uri: string;
}

/** What an agent's Node is started with (bin/bootswarm.js). */
const agentFlags = ["--max-semi-space-size=1"];

export async function startServers(
  file: string,
  folder: string,
  running: AsyncDisposableStack,
): Promise<BenchServer[]> {
  const servers: BenchServer[] = [];
  for (const contender of contenders) {
    const socketPath = join(folder, `${contender}.sock`);
    const process = running.use(new BenchChild(commandOf(contender, file, socketPath)));
    await answering(socketPath);
    const name = contender === "bootswarm" ? "bench" : "";
    servers.push({ contender, process, uri: `nbd+unix:///${name}?socket=${socketPath}` });
  }
  return servers;
}

function commandOf(contender: Contender, file: string, socketPath: string): string[] {
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
