import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { Problem, systemCodeOf } from "../daemon/problem.ts";
import type { StateLayout } from "./cache/layout.ts";

/** Makes the state directory if need be. @throws Problem "invalid" if it cannot be made. */
export async function openStateDirectory(layout: StateLayout): Promise<void> {
  try {
    await makeDirectories(layout.images);
  } catch (error) {
    throw new Problem(
      "invalid",
      `cannot use the state directory ${layout.directory}; make it writable, or choose another with --state`,
      { cause: error },
    );
  }
}

/** Not mkdir's `recursive`: where a parent exists but takes no entries (as in /proc), Node tries again for ever. */
async function makeDirectories(path: string): Promise<void> {
  try {
    await mkdir(path);
  } catch (error) {
    if (systemCodeOf(error) === "EEXIST") return;
    if (systemCodeOf(error) !== "ENOENT" || dirname(path) === path) throw error;
    await makeDirectories(dirname(path));
    await mkdir(path);
  }
}
