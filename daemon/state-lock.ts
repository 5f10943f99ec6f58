import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Problem } from "./problem.ts";

/** Locks of this process: SQLite gives one back when its database is garbage-collected. */
const held = new Set<DatabaseSync>();

/**
 * Takes a directory for this process alone until `close` or the process's end, however it ends. Node has no flock;
 * SQLite's exclusive transaction on an empty database is a kernel lock (fcntl) that leaves nothing stale after SIGKILL.
 *
 * @throws Problem "conflict" if another process has it, naming its pid.
 */
export function lockStateDirectory(directory: string): { close(): void } {
  const ownerPath = join(directory, "lock.pid");
  const database = new DatabaseSync(join(directory, "lock"));
  try {
    database.exec("PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE");
  } catch (error) {
    database.close();
    throw new Problem(
      "conflict",
      `${directory} is in use by another process${ownerOf(ownerPath)}; stop it or give this one a directory of its own`,
      { cause: error },
    );
  }
  held.add(database);
  try {
    writeFileSync(ownerPath, `${process.pid}\n`);
  } catch {
    // Only for people to read: a full disk must not keep a daemon from starting.
  }
  const close = () => {
    held.delete(database);
    database.close();
  };
  return { close };
}

function ownerOf(path: string): string {
  try {
    return ` (pid ${readFileSync(path, "utf8").trim()})`;
  } catch {
    return "";
  }
}
