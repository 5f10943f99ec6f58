/** The parent's side of an import's process: starts it, reads its bytes and news, holds it to its limits, ends it. */
import { type ChildProcess, fork } from "node:child_process";
import { readFile } from "node:fs/promises";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { Log } from "../../daemon/log.ts";
import { Problem } from "../../daemon/problem.ts";
import { bytesDescriptor, type ImportNews, type ImportOrder } from "./child-protocol.ts";
import type { ImportConfig } from "./config.ts";

/** How often limits are looked at. */
const watchIntervalMs = 250;
/** What a child may say on standard error before the rest is dropped: a library gone mad must not fill the log. */
const errorTextLengthMax = 16 * 1024;

/** How Node ends when its heap is at its limit, before the process as a whole is. */
const outOfHeapSignal = "SIGABRT";

/** The source's extension is this file's: .ts in a checkout, .js in an installed package. */
const childFile = fileURLToPath(import.meta.url).replace(/child-process(\.[tj]s)$/, "child$1");

export interface ImportProcessOptions {
  order: ImportOrder;
  limits: Pick<ImportConfig, "timeoutMs" | "idleTimeoutMs" | "memoryMiB">;
  /** Ends the process; reading then throws the signal's reason. */
  signal: AbortSignal;
  onPeers(peers: number): void;
  log: Log;
}

export interface ImportProcess {
  /** Resolves to the size, where the source says it, once the source answers. Rejects as `bytes` throws. */
  opened: Promise<number | undefined>;
  /** The image's bytes. Throws a Problem, rather than end, if they are not all there. */
  bytes: AsyncIterable<Uint8Array>;
  /** Ends the process and resolves when it is gone. */
  close(): Promise<void>;
}

export function startImportProcess(options: ImportProcessOptions): ImportProcess {
  const child = fork(childFile, [], {
    // A heap as large as half the limit leaves the other half to buffers, which live outside it.
    execArgv: [`--max-old-space-size=${Math.floor(options.limits.memoryMiB / 2)}`, "--no-deprecation"],
    // Bytes get a pipe of their own: writes to standard output block the child's event loop when nobody reads.
    stdio: ["ignore", "ignore", "pipe", "pipe", "ipc"],
    serialization: "advanced",
    // Proxy settings and the like are the seeder's; debug output of libraries is nobody's.
    env: { ...process.env, DEBUG: undefined },
  });
  const state = new ChildState(child, options);
  child.send(options.order);
  return { opened: state.opened.promise, bytes: state.bytes(), close: () => state.close() };
}

class ChildState {
  readonly opened = Promise.withResolvers<number | undefined>();
  private readonly gone: Promise<void>;
  private verdict: Extract<ImportNews, { type: "done" | "failed" }> | undefined;
  /** Why we ended it, if we did. */
  private ended: Error | undefined;
  private exit = "";
  /** Whether the torrent has been read, and its peers are being looked for. */
  private isJoined = false;
  private webSeed: string | undefined;
  private peers = 0;
  private receivedBytes = 0;
  /** When we began to wait for the child; undefined while it waits for us. */
  private waitingSinceMs: number | undefined;
  private readonly startedAtMs = performance.now();
  private readonly timer: NodeJS.Timeout;
  private readonly child: ChildProcess;
  private readonly options: ImportProcessOptions;

  constructor(child: ChildProcess, options: ImportProcessOptions) {
    this.child = child;
    this.options = options;
    // Nobody may be waiting for it when it fails.
    this.opened.promise.catch(() => {});
    child.on("message", (news) => this.take(news as ImportNews));
    child.on("error", (error) => this.end(new Problem("internal", "the import's process failed", { cause: error })));
    this.gone = this.whenGone();
    this.timer = setInterval(() => void this.watchLimits(), watchIntervalMs);
    const onAbort = () => this.end(options.signal.reason as Error);
    if (options.signal.aborted) onAbort();
    else options.signal.addEventListener("abort", onAbort, { once: true });
    void this.gone.then(() => {
      clearInterval(this.timer);
      options.signal.removeEventListener("abort", onAbort);
      if (this.verdict?.type !== "done") this.opened.reject(this.failure());
    });
    this.logErrors();
  }

  async *bytes(): AsyncIterable<Uint8Array> {
    const pipe = this.child.stdio[bytesDescriptor] as Readable;
    try {
      for await (const chunk of pipe as AsyncIterable<Uint8Array>) {
        this.receivedBytes += chunk.length;
        this.waitingSinceMs = undefined;
        yield chunk;
        this.waitingSinceMs = performance.now();
      }
      await this.gone;
      if (this.verdict?.type !== "done" || this.ended !== undefined) throw this.failure();
      if (this.verdict.sentBytes !== this.receivedBytes) {
        throw new Problem("internal", `${this.receivedBytes} of ${this.verdict.sentBytes} bytes came from the import`);
      }
    } finally {
      await this.close();
    }
  }

  async close(): Promise<void> {
    this.end(new Problem("cancelled", "the import was ended"));
    await this.gone;
  }

  private take(news: ImportNews): void {
    switch (news.type) {
      case "started":
        this.waitingSinceMs = performance.now();
        break;
      case "joined":
        // Peers are given all the time there is, however long a .torrent file or a busy machine took.
        this.isJoined = true;
        this.webSeed = news.webSeed;
        this.waitingSinceMs = performance.now();
        break;
      case "opened":
        this.waitingSinceMs = performance.now();
        this.opened.resolve(news.sizeBytes);
        break;
      case "progress":
        this.peers = news.peers;
        this.options.onPeers(news.peers);
        break;
      case "retrying":
        this.options.log.warn({ error: news.reason }, "the source gave nothing and is asked again");
        break;
      default:
        this.verdict = news;
    }
  }

  /** Nothing it does at its end is needed, and it may be stuck: SIGKILL. */
  private end(reason: Error): void {
    if (this.verdict === undefined) this.ended ??= reason;
    this.child.kill("SIGKILL");
  }

  private async whenGone(): Promise<void> {
    const { child } = this;
    const exited = new Promise<void>((resolve) => {
      child.once("exit", (status, signal) => {
        this.exit = signal === null ? `status ${status}` : `signal ${signal}`;
        resolve();
      });
      child.once("error", () => child.pid === undefined && resolve());
    });
    // The last news may still be on its way when the process has ended.
    const silent = new Promise<void>((resolve) => child.once("disconnect", () => resolve()));
    await exited;
    if (child.connected) await silent;
  }

  private failure(): Error {
    if (this.ended !== undefined) return this.ended;
    if (this.verdict?.type === "failed") return new Problem(this.verdict.kind, this.verdict.message);
    if (this.exit === `signal ${outOfHeapSignal}`) {
      const { memoryMiB } = this.options.limits;
      const what = `the import's process ran out of its ${memoryMiB} MiB of memory`;
      return new Problem("exhausted", `${what}; allow more with import.memoryMiB`);
    }
    return new Problem(
      "unavailable",
      `the import's process ended unexpectedly (${this.exit}); the seeder's log has what it said. Try again`,
    );
  }

  private async watchLimits(): Promise<void> {
    const { timeoutMs, idleTimeoutMs, memoryMiB } = this.options.limits;
    const nowMs = performance.now();
    if (nowMs - this.startedAtMs > timeoutMs) {
      this.end(
        new Problem(
          "unavailable",
          `not done after ${seconds(timeoutMs)}; allow more with import.timeoutMs, or try again`,
        ),
      );
    }
    if (this.waitingSinceMs !== undefined && nowMs - this.waitingSinceMs > idleTimeoutMs) this.end(this.idleProblem());
    const residentMiB = await residentMemoryMiB(this.child.pid);
    if (residentMiB > memoryMiB) {
      this.end(
        new Problem(
          "exhausted",
          `the import's process took ${Math.round(residentMiB)} MiB of memory; allow more with import.memoryMiB`,
        ),
      );
    }
  }

  private idleProblem(): Problem {
    const { order, limits } = this.options;
    const idle = seconds(limits.idleTimeoutMs);
    const isFromUrl = order.source.kind === "http" || order.source.kind === "torrent-url";
    if (isFromUrl && !this.isJoined) {
      return new Problem("unavailable", `the server has sent nothing for ${idle}; check the URL, or try again later`);
    }
    if (this.peers > 0) {
      return new Problem(
        "unavailable",
        `${this.peers} peers are connected, but none has sent anything for ${idle}; try again later`,
      );
    }
    const webSeed =
      this.webSeed === undefined ? "" : `, import the torrent's web seed, which is not asked (${this.webSeed})`;
    const dht = order.publicDhtBootstrap.length > 0 ? "" : ", or allow the public DHT (--public-dht)";
    return new Problem(
      "unavailable",
      `no peer of the torrent was found in ${idle}; check that its trackers answer${webSeed}${dht}, or try again later`,
    );
  }

  private logErrors(): void {
    let length = 0;
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      if (length < errorTextLengthMax)
        this.options.log.warn({ output: text.slice(0, 2_000).trimEnd() }, "import process");
      length += text.length;
    });
  }
}

function seconds(ms: number): string {
  return ms >= 600_000 ? `${Math.round(ms / 60_000)} min` : `${Math.round(ms / 100) / 10} s`;
}

/** The memory of a process, buffers outside the heap included; 0 once it is gone. */
async function residentMemoryMiB(pid: number | undefined): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) / 1_024;
}
