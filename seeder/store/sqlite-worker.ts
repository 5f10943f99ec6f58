/** The thread that has the database open: it does what sqlite-thread.ts asks, in order. */
import { parentPort } from "node:worker_threads";
import { messageOf, Problem, systemCodeOf } from "../../daemon/problem.ts";
import { SqliteFile } from "./sqlite-file.ts";
import type { SqliteReply, SqliteRequest, SqliteResult } from "./sqlite-thread.ts";

const port = parentPort;
if (!port) throw new Error("sqlite-worker.ts runs as a worker thread only");

/** SQLITE_FULL (sqlite.org/rescode.html). */
const fullCode = 13;

let file: SqliteFile | undefined;

port.on("message", (request: SqliteRequest) => {
  port.postMessage(answer(request));
  if (request.kind === "close") port.close();
});

function answer(request: SqliteRequest): SqliteReply {
  try {
    return { kind: "done", ...done(request) };
  } catch (thrown) {
    const error = isFull(thrown)
      ? new Problem("exhausted", "the disk of the seeder's database is full; give it space", { cause: thrown })
      : thrown;
    const problem = error instanceof Problem ? error.kind : undefined;
    return { kind: "failed", message: messageOf(error), code: systemCodeOf(error), problem };
  }
}

function done(request: SqliteRequest): SqliteResult {
  switch (request.kind) {
    case "open":
      file = new SqliteFile(request.path, (level, facts, text) =>
        port?.postMessage({ kind: "log", level, facts, text } satisfies SqliteReply),
      );
      return { rows: [] };
    case "run":
      if (!file) throw new Error("the database is not open");
      return file.run(request.sql, request.parameters);
    case "close":
      file?.close();
      file = undefined;
      return { rows: [] };
  }
}

function isFull(error: unknown): boolean {
  return (error as { errcode?: number } | undefined)?.errcode === fullCode;
}
