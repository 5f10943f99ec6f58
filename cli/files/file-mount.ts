/**
 * An NBD export as a plain file, through FUSE: libnbd's nbdfuse, mounted on an empty file of the file's name. It reads
 * through nbdkit, whose retry filter finds the agent again after a restart; nbdfuse alone would fail every read from then
 * on. Both go on by themselves once the command has ended, and end with the mount.
 */
import { execFile, spawn } from "node:child_process";
import { lstat, mkdtemp, open, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { CliError, systemCodeIn } from "../cli-error.ts";
import { openersOf } from "./openers.ts";

/** How long the agent is looked for, once a second, before a read fails. */
const reconnectSeconds = 300;
const mountMsMax = 30_000;
const lookIntervalMs = 50;
const unmountMsMax = 30_000;

/** What is at a path. */
export type MountState = "nothing" | "mounted" | "dead" | "occupied";

/** @throws CliError if the path cannot be looked at. */
export async function mountStateOf(path: string): Promise<MountState> {
  try {
    await stat(path);
  } catch (error) {
    const code = systemCodeIn(error);
    // The process behind the mount has ended.
    if (code === "ENOTCONN") return "dead";
    if (code === "ENOENT" && (await lstat(path).catch(() => undefined)) === undefined) return "nothing";
    if (code !== "ENOENT") throw new CliError(`${path} cannot be looked at (${code})`, { cause: error });
  }
  return (await mountPoints()).has(path) ? "mounted" : "occupied";
}

/** Looks whether a file may be mounted there. @throws CliError saying what is in the way. */
export async function checkMountPath(path: string): Promise<void> {
  const parent = await stat(dirname(path)).catch((error: unknown) => {
    throw new CliError(`the directory of ${path} cannot be used (${systemCodeIn(error)}); make it first`);
  });
  if (!parent.isDirectory()) throw new CliError(`${dirname(path)} is no directory`);
  const there = await mountStateOf(path);
  if (there === "mounted")
    throw new CliError(`something is mounted at ${path} already; \`bootswarm disk unmount\` ends it`);
  if (there !== "occupied") return;
  const { size } = await lstat(path);
  throw new CliError(`${path} exists already (${size} bytes); the image is mounted as a new file: choose another path`);
}

/**
 * Mounts an export as a read-only file, where nothing is.
 *
 * @param allowOther whether users other than this one may read it
 * @throws CliError in nbdfuse's words, or that a program is not installed; the path is then left as it was
 */
export async function mountFile(uri: string, path: string, allowOther: boolean, signal: AbortSignal): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "bootswarm-mount-"));
  const log = join(directory, "log");
  await using said = await open(log, "wx");
  const server = ["nbdkit", "-s", "--exit-with-parent", "-r", "--filter=retry", "nbd", `uri=${uri}`];
  const patience = [`retries=${reconnectSeconds}`, "retry-delay=1", "retry-exponential=no"];
  // The image never changes: the kernel may keep what it has read.
  const fuse = ["-r", "-o", "kernel_cache", ...(allowOther ? ["-o", "allow_other"] : [])];
  let isOurs = false;
  try {
    await (await open(path, "wx", 0o444)).close();
    isOurs = true;
    const ended = await startMount([...fuse, path, "--command", ...server, ...patience], said.fd);
    for (const endMs = performance.now() + mountMsMax; ; await delay(lookIntervalMs)) {
      if ((await mountPoints()).has(path)) return;
      signal.throwIfAborted();
      if (ended() || performance.now() > endMs) throw new CliError(await failureMessage(path, log));
    }
  } catch (error) {
    if (isOurs) await removePlace(path);
    if (error instanceof CliError || signal.aborted) throw error;
    throw new CliError(`cannot mount at ${path}: ${(error as Error).message}`, { cause: error });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Starts nbdfuse apart from this process; tells whether it has ended. */
async function startMount(args: readonly string[], errorFile: number): Promise<() => boolean> {
  const child = spawn("nbdfuse", args, { detached: true, stdio: ["ignore", "ignore", errorFile], cwd: "/" });
  try {
    await new Promise((resolve, reject) => child.once("spawn", resolve).once("error", reject));
  } catch (error) {
    if (systemCodeIn(error) !== "ENOENT") throw error;
    throw new CliError("nbdfuse is not installed; on Debian: apt-get install libnbd-bin nbdkit fuse3", {
      cause: error,
    });
  }
  child.unref();
  return () => child.exitCode !== null || child.signalCode !== null;
}

async function failureMessage(path: string, log: string): Promise<string> {
  const said = (await readFile(log, "utf8")).trim().split("\n").slice(-3).join("; ");
  const hint = /nbdkit/.test(said) ? " (apt-get install nbdkit)" : "";
  return `nbdfuse cannot mount at ${path}: ${said || "it says nothing"}${hint}; are fuse3 and /dev/fuse there, and may you use them?`;
}

/**
 * Unmounts a file, and removes what it was mounted on.
 *
 * @param lazy whether those who have it open may go on reading
 * @throws CliError if it is in use, naming by whom
 */
export async function unmountFile(path: string, lazy: boolean): Promise<void> {
  try {
    await promisify(execFile)("fusermount3", [lazy ? "-uz" : "-u", path], { timeout: unmountMsMax });
  } catch (error) {
    if (systemCodeIn(error) === "ENOENT") {
      throw new CliError("fusermount3 is not installed; on Debian: apt-get install fuse3", { cause: error });
    }
    const said = String((error as { stderr?: string }).stderr ?? "").trim();
    if (!/busy/i.test(said)) throw new CliError(`${path} cannot be unmounted: ${said || (error as Error).message}`);
    const openers = await openersOf(path);
    const who = openers.length === 0 ? "a process" : openers.join(", ");
    throw new CliError(`${path} is in use by ${who}; end that first, or unmount it with --lazy`, { cause: error });
  }
  await removePlace(path);
}

/** Removes the empty file that was mounted on, unless something else has come there. */
async function removePlace(path: string): Promise<void> {
  const there = await lstat(path).catch(() => undefined);
  if (there?.isFile() && there.size === 0) await rm(path, { force: true });
}

/** Where something is mounted now. */
async function mountPoints(): Promise<Set<string>> {
  const lines = (await readFile("/proc/self/mountinfo", "utf8")).split("\n");
  // See proc(5): the fifth field, with spaces and the like as octal numbers.
  const unescaped = (text: string) =>
    text.replaceAll(/\\(\d{3})/g, (_, code) => String.fromCharCode(Number.parseInt(code, 8)));
  return new Set(lines.map((line) => unescaped(line.split(" ")[4] ?? "")));
}
