/**
 * Hashes uploads on a thread of its own, while the main thread receives and the thread pool writes. Blocks are shared
 * memory, not copies: the caller must leave one alone until its `update` resolves.
 */
import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import { Problem } from "../../daemon/problem.ts";

export type HashRequest =
  | { kind: "start"; job: number; pieceLengthBytes: number }
  | { kind: "update"; job: number; shared: SharedArrayBuffer; lengthBytes: number }
  | { kind: "finish"; job: number }
  | { kind: "abandon"; job: number };

export type HashReply =
  | { kind: "updated"; job: number }
  | { kind: "finished"; job: number; sha256: string; pieceHashes: Uint8Array };

export interface Hashes {
  /** 64 lower-case hex digits. */
  sha256: string;
  /** SHA-1 of each piece, 20 bytes each, concatenated; empty for a job without pieces. */
  pieceHashes: Uint8Array;
}

interface Waiting {
  /** Calls for the replies still to come, in order. */
  replies: { resolve: (reply: HashReply) => void; reject: (error: Error) => void }[];
}

/** One file's hashes, made as its bytes pass by. */
export interface Hashing {
  /** Hashes the first `lengthBytes` of `shared`; resolves once that is done and the memory is free again. */
  update(shared: SharedArrayBuffer, lengthBytes: number): Promise<void>;
  finish(): Promise<Hashes>;
  /** Forgets the job, if it is not finished. */
  abandon(): void;
}

export class Hasher {
  #worker: Worker | undefined;
  #lastJob = 0;
  readonly #waiting = new Map<number, Waiting>();

  /** Begins a file's hashes. With a piece length of 0 there is the sha256 alone. */
  start(pieceLengthBytes: number): Hashing {
    const job = ++this.#lastJob;
    this.#waiting.set(job, { replies: [] });
    this.#thread().postMessage({ kind: "start", job, pieceLengthBytes } satisfies HashRequest);
    return {
      update: async (shared, lengthBytes) => {
        await this.#ask({ kind: "update", job, shared, lengthBytes });
      },
      finish: async () => {
        const reply = await this.#ask({ kind: "finish", job });
        this.#waiting.delete(job);
        if (reply.kind !== "finished") throw new Error("the hashing thread answered out of turn");
        return { sha256: reply.sha256, pieceHashes: reply.pieceHashes };
      },
      abandon: () => {
        if (this.#waiting.delete(job)) this.#worker?.postMessage({ kind: "abandon", job } satisfies HashRequest);
      },
    };
  }

  async close(): Promise<void> {
    await this.#worker?.terminate();
  }

  #ask(request: Extract<HashRequest, { kind: "update" | "finish" }>): Promise<HashReply> {
    return new Promise((resolve, reject) => {
      const waiting = this.#waiting.get(request.job);
      if (!waiting) throw new Error("hashing was already finished or abandoned");
      waiting.replies.push({ resolve, reject });
      this.#thread().postMessage(request);
    });
  }

  #thread(): Worker {
    if (this.#worker) return this.#worker;
    // Sources run as .ts, a packed install as .js.
    const worker = new Worker(new URL(`./hash-worker${extname(import.meta.url)}`, import.meta.url));
    // Uploads keep the process alive, not the thread that waits for them.
    worker.unref();
    worker.on("message", (reply: HashReply) => this.#waiting.get(reply.job)?.replies.shift()?.resolve(reply));
    worker.on("error", (error) => this.#fail(worker, error));
    worker.on("exit", () => this.#fail(worker, new Error("it ended")));
    this.#worker = worker;
    return worker;
  }

  /** Without the thread its jobs are lost; the next job starts a new one. */
  #fail(worker: Worker, cause: Error): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    const problem = new Problem("internal", "the hashing thread failed; try again", { cause });
    for (const [job, { replies }] of this.#waiting) {
      this.#waiting.delete(job);
      for (const { reject } of replies) reject(problem);
    }
  }
}
