import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Problem } from "./problem.ts";

/** SQLITE_BUSY; SQLITE_CORRUPT and SQLITE_NOTADB. */
const busyCode = 5;
const notDatabaseCodes = new Set([11, 26]);

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
  const lockPath = join(directory, "lock");
  let database: DatabaseSync;
  try {
    database = lockedDatabase(lockPath);
  } catch (error) {
    if (codeOf(error) !== busyCode) throw error;
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

function lockedDatabase(path: string): DatabaseSync {
  try {
    return beginExclusive(path);
  } catch (error) {
    if (!notDatabaseCodes.has(codeOf(error))) throw error;
    // A damaged disk's doing: the file is to be empty. Whoever may have it locked keeps his lock, which is on the file.
    truncateSync(path);
    return beginExclusive(path);
  }
}

function beginExclusive(path: string): DatabaseSync {
  const database = new DatabaseSync(path);
  try {
    database.exec("PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE");
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

function codeOf(error: unknown): number {
  return (error as { errcode?: number }).errcode ?? 0;
}

function ownerOf(path: string): string {
  try {
    return ` (pid ${readFileSync(path, "utf8").trim()})`;
  } catch {
    return "";
  }
}
