import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { CliError } from "../cli-error.ts";
import type { DaemonKind } from "../daemon-address.ts";

/** A daemon that runs as a child process. */
export interface DaemonProcess {
  /** What it is called in this demonstration. */
  name: string;
  /** URL of its API. */
  url: string;
  /** Ends it in an orderly way, or after a few seconds without ceremony. */
  stop(): Promise<void>;
  /** Ends it at once. */
  kill(): void;
}

export interface DaemonStart {
  kind: DaemonKind;
  name: string;
  args: readonly string[];
  /** File that its log goes to. */
  logPath: string;
  signal: AbortSignal;
  /** Told of the child as soon as there is one, so that it is ended whatever happens next. */
  onSpawn: (daemon: Pick<DaemonProcess, "stop" | "kill">) => void;
}

const launcher = fileURLToPath(new URL("../../bin/bootswarm.js", import.meta.url));
/** A daemon that has not said where it listens by then will not. */
const startMsMax = 30_000;
const stopMsMax = 6_000;
/** Lines of the log that are shown when a daemon does not start. */
const tailLines = 8;

/**
 * Starts `bootswarm seeder` or `bootswarm agent` and waits until it logs where its API listens.
 *
 * @throws CliError with the end of its log if it ends before that.
 */
export async function startDaemon(start: DaemonStart): Promise<DaemonProcess> {
  // A process group of its own: Ctrl-C is for this program, which then ends its daemons in order.
  const child = spawn(process.execPath, [launcher, start.kind, ...start.args], {
    stdio: ["ignore", "ignore", "pipe"],
    detached: true,
  });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const handle = { stop: () => stopChild(child, ended), kill: () => child.kill("SIGKILL") };
  start.onSpawn(handle);
  const url = await listeningUrl(child, start);
  return { name: start.name, url, ...handle };
}

function listeningUrl(child: ChildProcess, start: DaemonStart): Promise<string> {
  const tail: string[] = [];
  const log = createWriteStream(start.logPath);
  return new Promise((resolve, reject) => {
    const fail = (why: string, cause?: unknown) =>
      reject(new CliError(`${start.name} ${why}${tail.map((line) => `\n  ${line}`).join("")}`, { cause }));
    const timer = setTimeout(() => fail("does not say where it listens"), startMsMax);
    start.signal.addEventListener("abort", () => reject(start.signal.reason), { once: true });
    child.once("error", (error) => fail("does not start", error));
    child.once("close", (status, signal) => {
      clearTimeout(timer);
      log.end();
      fail(`ended with ${signal ?? `status ${status}`}`);
    });
    createInterface({ input: child.stderr! }).on("line", (line) => {
      log.write(`${line}\n`);
      tail.push(line);
      if (tail.length > tailLines) tail.shift();
      const url = urlIn(line);
      if (url === undefined) return;
      clearTimeout(timer);
      resolve(url);
    });
  });
}

/** The URL in the log line that says that the API listens. */
function urlIn(line: string): string | undefined {
  try {
    const { msg, url } = JSON.parse(line) as { msg?: unknown; url?: unknown };
    return msg === "listening" && typeof url === "string" ? url : undefined;
  } catch {
    return undefined;
  }
}

async function stopChild(child: ChildProcess, ended: Promise<void>): Promise<void> {
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), stopMsMax);
  await ended;
  clearTimeout(timer);
}
