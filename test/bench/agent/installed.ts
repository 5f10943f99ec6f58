/** The program as it ships: packed, and installed into a folder of its own. */
import { execFile } from "node:child_process";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const root = join(import.meta.dirname, "../../..");

/** Packs this checkout, installs the tarball, and returns the words of the command. It runs on this process's Node. */
export async function installedLauncher(folder: string): Promise<string[]> {
  await run("npm", ["pack", "--pack-destination", folder], { cwd: root });
  const tarball = (await readdir(folder)).find((name) => name.endsWith(".tgz"));
  if (!tarball) throw new Error("npm pack has made no tarball");
  const prefix = join(folder, "prefix");
  await run("npm", ["install", "--global", "--prefix", prefix, join(folder, tarball)], { cwd: folder });
  return [process.execPath, join(prefix, "lib/node_modules/bootswarm/bin/bootswarm.js")];
}
