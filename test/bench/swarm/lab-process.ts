/** Processes of the benchmark: what they say line by line, their log file if one is kept, and their end by pid. */
import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { createInterface } from "node:readline";
import { toolEnv } from "../../fixtures/tools.ts";

/** What is kept of a process's output for errors, in lines. */
const linesMax = 30;
const startTimeoutMs = 120_000;

export class LabProcess {
  readonly name: string;
  readonly child: ChildProcess;
  private readonly lastLines: string[] = [];
  private readonly watchers = new Set<(line: string | undefined) => void>();
  private ended = false;
  private readonly exited: Promise<void>;

  constructor(name: string, [command, ...args]: string[], logPath?: string) {
    this.name = name;
    this.child = spawn(command as string, args, { stdio: ["pipe", "pipe", "pipe"], env: toolEnv });
    const log = logPath === undefined ? undefined : createWriteStream(logPath);
    this.child.on("error", (error) => this.take(`cannot be started: ${error.message}`));
    this.child.stdin?.on("error", () => {});
    this.exited = new Promise((resolve) => {
      this.child.once("close", () => {
        this.ended = true;
        log?.end();
        for (const watcher of [...this.watchers]) watcher(undefined);
        resolve();
      });
    });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      if (!stream) continue;
      createInterface({ input: stream }).on("line", (line) => {
        log?.write(`${line}\n`);
        this.take(line);
      });
    }
  }

  /** The pid of the command itself: nsenter becomes it. */
  get pid(): number {
    if (this.child.pid === undefined) throw new Error(`${this.name} did not start`);
    return this.child.pid;
  }

  /** Calls `look` with each line, and with undefined at the process's end, until it is told to stop. */
  watch(look: (line: string | undefined) => void): () => void {
    this.watchers.add(look);
    if (this.ended) look(undefined);
    return () => this.watchers.delete(look);
  }

  /** Waits for a line of JSON with a key. @throws Error with the last output if the process ends first, or in two minutes. */
  async says<T>(key: string, fits: (line: Record<string, unknown>) => boolean = () => true): Promise<T> {
    return await new Promise((resolve, reject) => {
      const timer = setTimeout(() => end(() => reject(this.failure("is silent"))), startTimeoutMs);
      const stop = this.watch((text) => {
        if (text === undefined) return end(() => reject(this.failure("ended")));
        const line = objectFrom(text);
        if (line && key in line && fits(line)) end(() => resolve(line as T));
      });
      const end = (act: () => void) => {
        clearTimeout(timer);
        stop();
        act();
      };
    });
  }

  write(line: unknown): void {
    this.child.stdin?.write(`${JSON.stringify(line)}\n`);
  }

  failure(what: string): Error {
    const how = this.ended ? ` (${this.child.signalCode ?? `status ${this.child.exitCode}`})` : "";
    return new Error(`${this.name} ${what}${how}; its last lines:\n${this.lastLines.join("\n")}`);
  }

  /** Waits for the end. */
  async done(): Promise<void> {
    await this.exited;
    if (this.child.exitCode !== 0) throw this.failure(`ended with ${this.child.exitCode ?? this.child.signalCode}`);
  }

  async kill(): Promise<void> {
    if (!this.ended) this.child.kill("SIGKILL");
    await this.exited;
  }

  private take(line: string): void {
    this.lastLines.push(line);
    if (this.lastLines.length > linesMax) this.lastLines.shift();
    for (const watcher of [...this.watchers]) watcher(line);
  }
}

function objectFrom(text: string): Record<string, unknown> | undefined {
  if (!text.startsWith("{")) return undefined;
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}
