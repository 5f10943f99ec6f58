/** Where a bench keeps its processes' files: removed at its end, or by the next bench if it has been killed. */
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";

const prefix = "bootswarm-lab-";

/** Makes a directory that goes with this process, and removes those whose process is no more. */
export function makeLabDirectory(parent: string): string {
  for (const name of readdirSync(parent)) {
    const pid = new RegExp(`^${prefix}(\\d+)-`).exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) remove(join(parent, name));
  }
  const directory = mkdtempSync(join(parent, `${prefix}${process.pid}-`));
  process.once("exit", () => remove(directory));
  return directory;
}

function remove(path: string): void {
  rmSync(path, { recursive: true, force: true, maxRetries: 3 });
}
