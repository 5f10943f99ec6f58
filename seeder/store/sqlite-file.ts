/**
 * The file of an embedded database, which somebody may delete while it is in use: what was open goes on without a name, and
 * would be gone with the process. It is written to its place again, whole, before the next statement.
 */
import { closeSync, fsyncSync, openSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { messageOf, Problem } from "../../daemon/problem.ts";
import type { SqliteResult } from "./sqlite-thread.ts";

/** Between attempts to write it again, if that fails. */
const retryMs = 5_000;

/** How long a statement waits for somebody who writes to the file with other tools. */
const busyMs = 5_000;

/** Told what an operator is to know of the file. */
type Tell = (level: "warn" | "error", facts: object, text: string) => void;

/** A database by node:sqlite. */
export class SqliteFile {
  readonly #path: string;
  readonly #tell: Tell;
  #database: DatabaseSync;
  #inode: number;
  #retryAtMs = 0;

  /** Opens the file, made if it is not there. */
  constructor(path: string, tell: Tell) {
    this.#path = path;
    this.#tell = tell;
    this.#database = opened(path);
    this.#inode = statSync(path).ino;
  }

  close(): void {
    if (this.#database.isOpen) this.#database.close();
  }

  /**
   * Runs a statement.
   *
   * @throws Problem "conflict" if another file was put in its place.
   */
  run(sql: string, parameters: readonly SQLInputValue[]): SqliteResult {
    if (!this.#database.isOpen) this.#openAgain();
    if (!this.#database.isTransaction) this.#check();
    const statement = this.#database.prepare(sql);
    if (statement.columns().length > 0) return { rows: statement.all(...parameters) };
    return { rows: [], changes: statement.run(...parameters).changes };
  }

  #check(): void {
    const there = statSync(this.#path, { throwIfNoEntry: false });
    if (there?.ino === this.#inode) return;
    if (there) throw replaced(this.#path);
    if (performance.now() < this.#retryAtMs) return;
    try {
      this.#writeAgain();
      this.#tell("warn", { path: this.#path }, "the database was deleted while in use; it has been written again");
    } catch (error) {
      this.#retryAtMs = performance.now() + retryMs;
      this.#tell(
        "error",
        { path: this.#path, error: messageOf(error) },
        "the database was deleted while in use, and cannot be written again; what changes from now on may be lost",
      );
    }
  }

  #writeAgain(): void {
    const fresh = `${this.#path}.new`;
    rmSync(fresh, { force: true });
    this.#database.prepare("VACUUM INTO ?").run(fresh);
    sync(fresh);
    // First: a journal of the old file must not be taken for one of the new. Until the new one has its name the old goes on.
    for (const suffix of ["-wal", "-shm"]) rmSync(this.#path + suffix, { force: true });
    renameSync(fresh, this.#path);
    this.#inode = statSync(this.#path).ino;
    // Before the new one has a journal: it removes its own by name.
    this.#database.close();
    sync(dirname(this.#path));
    this.#database = opened(this.#path);
  }

  /** What was written again could not be opened then: a full disk has no room for a journal. */
  #openAgain(): void {
    if (statSync(this.#path, { throwIfNoEntry: false })?.ino !== this.#inode) throw replaced(this.#path);
    this.#database = opened(this.#path);
  }
}

function replaced(path: string): Problem {
  return new Problem(
    "conflict",
    `another file was put in the place of ${path} while the seeder runs; start the seeder anew to use it`,
  );
}

function opened(path: string): DatabaseSync {
  const database = new DatabaseSync(path, { timeout: busyMs });
  try {
    // FULL: what is published is durable when the upload is answered, through a loss of power too.
    database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON");
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

function sync(path: string): void {
  const file = openSync(path, "r");
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
