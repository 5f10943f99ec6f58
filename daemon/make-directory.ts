import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { systemCodeOf } from "./problem.ts";

/**
 * Makes a directory and those above it, where they are not there. Node's own recursive mkdir never returns where the
 * kernel answers ENOENT although the directory above exists, as in /proc.
 */
export async function makeDirectory(path: string): Promise<void> {
  try {
    await makeOne(path);
  } catch (error) {
    if (systemCodeOf(error) !== "ENOENT" || dirname(path) === path) throw error;
    await makeDirectory(dirname(path));
    await makeOne(path);
  }
}

async function makeOne(path: string): Promise<void> {
  try {
    await mkdir(path);
  } catch (error) {
    if (systemCodeOf(error) !== "EEXIST") throw error;
  }
}
