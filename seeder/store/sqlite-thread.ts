/**
 * SQLite in a thread of its own, as the seeder's main thread sees it. Statements, commits that wait for the disk, checkpoints
 * of the log, and the writing anew of a file that was deleted: none of it holds up the answers to nodes.
 */
import { once } from "node:events";
import { extname } from "node:path";
import type { SQLInputValue } from "node:sqlite";
import { Worker } from "node:worker_threads";
import type { Log } from "../../daemon/log.ts";
import { Problem, type ProblemKind } from "../../daemon/problem.ts";

export type SqliteRequest =
  | { kind: "open"; path: string }
  | { kind: "run"; sql: string; parameters: readonly SQLInputValue[] }
  | { kind: "close" };

/** What came of a statement. */
export interface SqliteResult {
  rows: unknown[];
  changes?: number | bigint;
}

/** One for each request, in their order; the log's lines come between. */
export type SqliteReply =
  | ({ kind: "done" } & SqliteResult)
  /** Errors lose their class on the way between threads. */
  | { kind: "failed"; message: string; code: string | undefined; problem: ProblemKind | undefined }
  | { kind: "log"; level: "warn" | "error"; facts: object; text: string };

interface Waiting {
  resolve(result: SqliteResult): void;
  reject(error: Error): void;
}

export class SqliteThread {
  readonly #worker: Worker;
  readonly #log: Log;
  readonly #waiting: Waiting[] = [];
  #ended: Error | undefined;

  private constructor(log: Log) {
    this.#log = log;
    // Sources run as .ts, a packed install as .js.
    this.#worker = new Worker(new URL(`./sqlite-worker${extname(import.meta.url)}`, import.meta.url));
    this.#worker.on("message", (reply: SqliteReply) => this.#replied(reply));
    this.#worker.on("error", (error) => this.#end(error));
    this.#worker.on("exit", () => this.#end(undefined));
  }

  /** Opens the file, made if it is not there. */
  static async open(path: string, log: Log): Promise<SqliteThread> {
    const thread = new SqliteThread(log);
    try {
      await thread.#ask({ kind: "open", path });
      return thread;
    } catch (error) {
      await thread.#worker.terminate();
      throw error;
    }
  }

  /**
   * Runs a statement, after those that were asked for before.
   *
   * @throws Problem "conflict" if another file was put in the place of this one.
   */
  run(sql: string, parameters: readonly unknown[]): Promise<SqliteResult> {
    return this.#ask({ kind: "run", sql, parameters: parameters as SQLInputValue[] });
  }

  /** Closes the file once all that was asked for is done, and ends the thread. */
  async close(): Promise<void> {
    if (this.#ended) return;
    const [closed] = await Promise.allSettled([this.#ask({ kind: "close" }), once(this.#worker, "exit")]);
    if (closed.status === "rejected") throw closed.reason;
  }

  #ask(request: SqliteRequest): Promise<SqliteResult> {
    return new Promise((resolve, reject) => {
      if (this.#ended) return reject(this.#ended);
      // It throws at what cannot be sent, to which there will be no reply.
      this.#worker.postMessage(request);
      this.#waiting.push({ resolve, reject });
    });
  }

  #replied(reply: SqliteReply): void {
    if (reply.kind === "log") {
      this.#log[reply.level](reply.facts, reply.text);
      return;
    }
    const waiting = this.#waiting.shift();
    if (reply.kind === "done") waiting?.resolve(reply);
    else waiting?.reject(errorOf(reply));
  }

  /** A transaction may have been half done, so there is no going on with another thread. */
  #end(cause: Error | undefined): void {
    this.#ended ??= new Problem("internal", "the database's thread has ended; start the seeder anew", { cause });
    for (const { reject } of this.#waiting.splice(0)) reject(this.#ended);
  }
}

function errorOf({ message, code, problem }: Extract<SqliteReply, { kind: "failed" }>): Error {
  return problem ? new Problem(problem, message) : Object.assign(new Error(message), code !== undefined && { code });
}
