/**
 * The main thread's side of the disk worker: starts it when the first disk is served, says to it what it is told, and keeps
 * all of it, so that a worker that died is followed by one that serves the same exports on the same sockets. QEMU's
 * `reconnect-delay` carries VMs over that, as over a restart of the agent.
 */
import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import type { Log } from "../../daemon/log.ts";
import { Problem, type ProblemKind } from "../../daemon/problem.ts";
import type { Clock } from "../../swarm/types.ts";
import type {
  BootImageFiles,
  DemandedRange,
  ExportSpec,
  FromDiskWorker,
  HostedImage,
  RecordingProgress,
  TcpListen,
  ToDiskWorker,
} from "./messages.ts";

/** Between the death of a worker and the next: doubled each time until one has lived for `restMs`. */
const restartDelayMsMin = 100;
const restartDelayMsMax = 10_000;
const restMs = 60_000;
/** When a disk that a new worker cannot serve is tried again. */
const reopenMs = 1_000;

type Told<Kind extends FromDiskWorker["kind"]> = Extract<FromDiskWorker, { kind: Kind }>;

export interface DiskEvents {
  /** All that reads of an image wait for now; replaces what was said before. */
  demand(digest: string, ranges: DemandedRange[]): void;
  served(digest: string, waitedMs: number[]): void;
  readFailed(event: Told<"read-failed">): void;
  lost(event: Told<"lost">): void;
  bootImageBad(event: Told<"boot-image-bad">): void;
  stats(event: Told<"stats">): void;
}

export interface DiskHostOptions {
  log: Log;
  clock: Clock;
  events: DiskEvents;
  /** Where all exports are served besides their own socket, if anywhere. */
  tcp?: TcpListen | undefined;
  /** Starts the thread; tests keep hold of it. */
  startWorker?: () => Worker;
}

export interface OpenedExport {
  uri: string;
  /** Where TCP is configured. */
  tcpUri?: string | undefined;
}

interface Waiting<T> {
  resolve(value: T): void;
  reject(error: Error): void;
}

export class DiskHost {
  readonly #options: DiskHostOptions;
  readonly #images = new Map<string, HostedImage>();
  readonly #bootImages = new Map<string, { sizeBytes: number; files: BootImageFiles }>();
  readonly #exports = new Map<string, ExportSpec>();
  readonly #opening = new Map<string, Waiting<OpenedExport>>();
  readonly #closing = new Map<string, (() => void)[]>();
  readonly #recordings = new Map<string, Waiting<Float64Array> | undefined>();
  readonly #progress = new Map<string, RecordingProgress>();
  /** Disks that this worker could not take over from the one before, and why. */
  readonly #unserved = new Map<string, string>();
  #bootBytesMax: number | undefined;
  #worker: Worker | undefined;
  #startedMs = 0;
  #restartDelayMs = restartDelayMsMin;
  #cancelRestart: (() => void) | undefined;
  #closed = false;

  constructor(options: DiskHostOptions) {
    this.#options = options;
  }

  /** Makes an image readable, or says anew what is known of it. */
  addImage(image: HostedImage): void {
    this.#images.set(image.digest, image);
    this.#say({ kind: "image", image });
  }

  /** What is known of an export that is served. */
  exportOf(id: string): ExportSpec | undefined {
    return this.#exports.get(id);
  }

  /** Bits of an image's `have` were set. */
  arrived(digest: string): void {
    this.#say({ kind: "arrived", digest });
  }

  /** No export reads it any more. */
  forget(digest: string): void {
    this.#images.delete(digest);
    this.#bootImages.delete(digest);
    this.#say({ kind: "forget", digest });
  }

  /**
   * Serves an image that was added.
   *
   * @throws Problem if it cannot be served there
   */
  async openExport(spec: ExportSpec): Promise<OpenedExport> {
    if (this.#closed) throw new Problem("unavailable", "the agent is stopping");
    if (this.#exports.has(spec.id)) throw new Problem("already-exists", `disk ${spec.id} is served already`);
    const { tcp } = this.#options;
    const full = tcp ? { ...spec, tcp } : spec;
    this.#exports.set(spec.id, full);
    const opened = new Promise<OpenedExport>((resolve, reject) => this.#opening.set(spec.id, { resolve, reject }));
    // A worker that is only just started is told of all exports.
    if (this.#worker) this.#say({ kind: "open", export: full });
    else if (!this.#cancelRestart) this.#start();
    try {
      return await opened;
    } catch (error) {
      this.#exports.delete(spec.id);
      throw error;
    }
  }

  /** Ends an export and its connections. */
  async closeExport(id: string): Promise<void> {
    if (!this.#exports.delete(id) || !this.#worker) return;
    this.#recordings.get(id)?.reject(new Problem("cancelled", `disk ${id} was closed while it was recorded`));
    this.#recordings.delete(id);
    await new Promise<void>((resolve) => {
      this.#closing.set(id, [...(this.#closing.get(id) ?? []), resolve]);
      this.#say({ kind: "close", id });
    });
  }

  /** A boot image to be used above an image; null takes it away. */
  setBootImage({ digest, sizeBytes }: { digest: string; sizeBytes: number }, files: BootImageFiles | null): void {
    if (files === null) this.#bootImages.delete(digest);
    else this.#bootImages.set(digest, { sizeBytes, files });
    this.#say({ kind: "boot-image", digest, sizeBytes, files });
  }

  setBootMemory(bootBytesMax: number): void {
    this.#bootBytesMax = bootBytesMax;
    this.#say({ kind: "memory", bootBytesMax });
  }

  /** Begins to note what is read of an export. */
  record(id: string): void {
    this.#recordings.set(id, undefined);
    this.#progress.delete(id);
    this.#say({ kind: "record", id });
  }

  /** How far a recording is, as of the last second or so; undefined before its first, and where there is none. */
  recordingProgress(id: string): RecordingProgress | undefined {
    return this.#progress.get(id);
  }

  /** Whether a recording goes on: it ends with its export, and if the worker dies. */
  isRecording(id: string): boolean {
    return this.#recordings.has(id);
  }

  /**
   * Ends a recording: the reads in order, as pairs of offset and length.
   *
   * @throws Problem if there is none, or the worker died meanwhile
   */
  stopRecording(id: string): Promise<Float64Array> {
    return new Promise((resolve, reject) => {
      if (!this.#worker || !this.#recordings.has(id) || this.#recordings.get(id)) {
        reject(new Problem("conflict", `nothing is being recorded of disk ${id}`));
        return;
      }
      this.#recordings.set(id, { resolve, reject });
      this.#say({ kind: "record-stop", id });
    });
  }

  /** Ends all exports. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelRestart?.();
    await this.#worker?.terminate();
    this.#failWaiting(new Problem("unavailable", "the agent is stopping"));
  }

  #say(message: ToDiskWorker): void {
    this.#worker?.postMessage(message);
  }

  #start(): void {
    this.#cancelRestart = undefined;
    const worker = (this.#options.startWorker ?? startDiskWorker)();
    let fault: Error | undefined;
    this.#worker = worker;
    this.#startedMs = this.#options.clock.now();
    worker.on("message", (message: FromDiskWorker) => this.#hear(message));
    worker.on("error", (error) => {
      fault = error;
    });
    // Its sockets are closed by now, so that the next can have them.
    worker.on("exit", (status) => this.#died(worker, fault ?? new Error(`it ended with status ${status}`)));
    if (this.#bootBytesMax !== undefined) this.#say({ kind: "memory", bootBytesMax: this.#bootBytesMax });
    for (const image of this.#images.values()) this.#say({ kind: "image", image });
    for (const [digest, boot] of this.#bootImages) this.#say({ kind: "boot-image", digest, ...boot });
    for (const spec of this.#exports.values()) this.#say({ kind: "open", export: spec });
  }

  #hear(message: FromDiskWorker): void {
    const { events, log } = this.#options;
    switch (message.kind) {
      case "opened":
        if (this.#unserved.delete(message.id)) log.info({ disk: message.id }, "a disk is served again");
        this.#opening.get(message.id)?.resolve({ uri: message.uri, tcpUri: message.tcpUri });
        this.#opening.delete(message.id);
        break;
      case "open-failed":
        this.#openFailed(message);
        break;
      case "closed":
        for (const resolve of this.#closing.get(message.id) ?? []) resolve();
        this.#closing.delete(message.id);
        break;
      case "demand":
        events.demand(message.digest, message.ranges);
        break;
      case "served":
        events.served(message.digest, message.waitedMs);
        break;
      case "read-failed":
        events.readFailed(message);
        break;
      case "lost":
        events.lost(message);
        break;
      case "boot-image-bad":
        events.bootImageBad(message);
        break;
      case "stats":
        events.stats(message);
        break;
      case "breach":
        log.warn({ listen: message.listen, reason: message.reason, count: message.count }, "NBD clients were cut off");
        break;
      case "recording":
        this.#progress.set(message.id, message.progress);
        break;
      case "recorded":
        this.#recordings.get(message.id)?.resolve(message.reads);
        this.#recordings.delete(message.id);
        break;
    }
  }

  #openFailed({ id, error, code }: Told<"open-failed">): void {
    const waiting = this.#opening.get(id);
    this.#opening.delete(id);
    if (waiting) waiting.reject(new Problem((code as ProblemKind | undefined) ?? "internal", error));
    else this.#openLater(id, error);
  }

  /** One that the worker before had served: its VM waits for it. */
  #openLater(id: string, error: string): void {
    const { log, clock } = this.#options;
    if (this.#unserved.get(id) !== error) log.error({ disk: id, error }, "a disk cannot be served again yet");
    this.#unserved.set(id, error);
    clock.after(reopenMs, () => {
      const spec = this.#exports.get(id);
      if (spec && this.#unserved.has(id)) this.#say({ kind: "open", export: spec });
    });
  }

  #died(worker: Worker, error: Error): void {
    if (this.#worker !== worker || this.#closed) return;
    const { log, clock } = this.#options;
    this.#worker = undefined;
    const disks = this.#exports.size;
    if (clock.now() - this.#startedMs > restMs) this.#restartDelayMs = restartDelayMsMin;
    log.error(
      { error: error.message, disks, restartMs: this.#restartDelayMs },
      "the disk worker died; it is started again",
    );
    // Opening exports are among those that the next one is told of.
    for (const waiting of this.#recordings.values()) waiting?.reject(new Problem("internal", "the disk worker died"));
    this.#recordings.clear();
    for (const resolve of [...this.#closing.values()].flat()) resolve();
    this.#closing.clear();
    // The next worker is told of them, too.
    this.#unserved.clear();
    for (const digest of this.#images.keys()) this.#options.events.demand(digest, []);
    this.#cancelRestart = clock.after(this.#restartDelayMs, () => this.#start());
    this.#restartDelayMs = Math.min(2 * this.#restartDelayMs, restartDelayMsMax);
  }

  #failWaiting(error: Error): void {
    for (const waiting of this.#opening.values()) waiting.reject(error);
    for (const waiting of this.#recordings.values()) waiting?.reject(error);
    for (const resolve of [...this.#closing.values()].flat()) resolve();
    this.#opening.clear();
    this.#recordings.clear();
    this.#closing.clear();
  }
}

/** Starts the thread that serves disks. */
export function startDiskWorker(): Worker {
  // Sources run as .ts, a packed install as .js.
  return new Worker(new URL(`./disk-worker${extname(import.meta.url)}`, import.meta.url));
}
