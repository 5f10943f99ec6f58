/** Child processes of benchmarks: they speak in lines, and are ended by their pid. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { toolEnv } from "../fixtures/tools.ts";
import { endWithProcess } from "./interruption.ts";

const root = join(import.meta.dirname, "../..");

export class BenchChild implements AsyncDisposable {
  readonly child: ChildProcess;
  readonly ended: Promise<unknown>;
  readonly #command: readonly string[];
  readonly #lines: AsyncIterator<string>;

  /** Starts a process whose lines are those of `from`; what else it says goes where ours goes. */
  constructor(command: readonly string[], from: "stdout" | "stderr" = "stdout") {
    const stdio =
      from === "stdout" ? (["ignore", "pipe", "inherit"] as const) : (["ignore", "ignore", "pipe"] as const);
    this.#command = command;
    this.child = spawn(command[0] as string, command.slice(1), { stdio: [...stdio], env: toolEnv });
    endWithProcess(this.child);
    this.ended = once(this.child, "exit");
    this.#lines = createInterface({ input: this.child[from] as Readable })[Symbol.asyncIterator]();
  }

  get pid(): number {
    return this.child.pid as number;
  }

  /**
   * Waits for the next line that fits.
   *
   * @throws Error if the process ends first.
   */
  async line<T>(match: (line: string) => T | undefined): Promise<T> {
    const seen: string[] = [];
    for (;;) {
      const { value, done } = await this.#lines.next();
      if (done) throw new Error(`${this.#command.join(" ")} ended early; it last said:\n${seen.slice(-5).join("\n")}`);
      const found = match(value);
      if (found !== undefined) return found;
      seen.push(value);
    }
  }

  /** Waits for a line that is a JSON object with that key. */
  json<T extends object>(key: keyof T & string): Promise<T> {
    return this.line((line) => {
      if (!line.startsWith("{")) return undefined;
      const object = JSON.parse(line) as T;
      return object[key] === undefined ? undefined : object;
    });
  }

  /** Reads on and forgets, so that a process that goes on talking does not fill its pipe. */
  drain(): void {
    void (async () => {
      while (!(await this.#lines.next()).done);
    })();
  }

  async end(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill(signal);
    await this.ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
  }
}

/** How to start a daemon: the command's words. */
export const launcherFromSources: readonly string[] = [process.execPath, join(root, "bin/bootswarm.js")];

/** Starts a daemon on ports that the kernel chooses, and waits until it listens. */
export async function startDaemon(
  kind: "seeder" | "agent",
  settings: Record<string, string | number>,
  launcher: readonly string[] = launcherFromSources,
): Promise<{ process: BenchChild; url: string; peerPort: number }> {
  const all = { listen: "127.0.0.1:0", "swarm.port": 0, "dht.port": 0, ...settings };
  const sets = Object.entries(all).flatMap(([key, value]) => ["--set", `${key}=${value}`]);
  const child = new BenchChild([...launcher, kind, ...sets], "stderr");
  try {
    const { url, peerPort } = await child.json<{ url: string; peerPort: number }>("url");
    child.drain();
    return { process: child, url, peerPort };
  } catch (error) {
    await child.end();
    throw error;
  }
}
