import { readdir, readFile, readlink } from "node:fs/promises";
import { join } from "node:path";

/** As many as an error can name. */
const namedMax = 5;

/** Processes that have a file open, as "qemu-system-x86 (pid 4711)": those of them that this user may look into. */
export async function openersOf(path: string): Promise<string[]> {
  const found: string[] = [];
  const processes = await readdir("/proc").catch(() => []);
  for (const pid of processes.filter((name) => /^\d+$/.test(name))) {
    if (found.length === namedMax) break;
    if (await hasOpen(pid, path)) found.push(`${await nameOf(pid)} (pid ${pid})`);
  }
  return found;
}

async function hasOpen(pid: string, path: string): Promise<boolean> {
  const directory = join("/proc", pid, "fd");
  for (const fd of await readdir(directory).catch(() => [])) {
    if ((await readlink(join(directory, fd)).catch(() => "")) === path) return true;
  }
  return false;
}

async function nameOf(pid: string): Promise<string> {
  return (await readFile(join("/proc", pid, "comm"), "utf8").catch(() => "a process")).trim();
}
