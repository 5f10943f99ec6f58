/**
 * Brings images into the catalog from URLs and from somebody else's torrents. A few run at once, each in a process of
 * its own that writes the bytes to the same publisher as an upload. The queue survives the seeder.
 */
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Log } from "../../daemon/log.ts";
import { messageOf, Problem } from "../../daemon/problem.ts";
import { type Import, ImportSchema, ImportState } from "../../proto/gen/bootswarm/seeder/v1/catalog_pb.js";
import type { Importer, ImportRequest } from "../catalog/importer.ts";
import type { Publisher } from "../catalog/publish.ts";
import { type ImportProcess, startImportProcess } from "./child-process.ts";
import type { ImportConfig } from "./config.ts";
import { errorLengthMax, importsEndedMax, importsPendingMax, restartsMax } from "./limits.ts";
import { newImportId, openPendingImports, type PendingImport, type PendingImports } from "./pending-imports.ts";
import { Rate } from "./rate.ts";
import { importSourceFrom, shownSource } from "./source.ts";

/** How often watchers are told of bytes. */
const watchIntervalMs = 250;

export interface ImporterOptions {
  config: ImportConfig;
  /** Holds what is pending; made if it is not there. */
  directory: string;
  publisher: Publisher;
  log: Log;
}

/** Opens the importer and starts again what had not ended when the last one of this directory was closed or killed. */
export async function createImporter(options: ImporterOptions): Promise<Importer> {
  // Whatever a killed seeder's imports left.
  await rm(join(options.directory, "tmp"), { recursive: true, force: true });
  const pending = await openPendingImports(join(options.directory, "pending"), options.log);
  const importer = new QueuedImporter(options, pending);
  for (const left of await pending.load()) await importer.startAgain(left);
  return importer;
}

/** One import's life. */
interface Job {
  pending: PendingImport;
  state: ImportState;
  sizeBytes: number;
  doneBytes: number;
  peers: number;
  error: string;
  digest: string;
  rate: Rate;
  abort: AbortController;
  /** Resolves when nothing of the job runs any more; at once for a queued one. */
  ended: Promise<void>;
}

class QueuedImporter implements Importer {
  private readonly jobs = new Map<string, Job>();
  private closing = false;
  private readonly options: ImporterOptions;
  private readonly pending: PendingImports;

  constructor(options: ImporterOptions, pending: PendingImports) {
    this.options = options;
    this.pending = pending;
  }

  async start(request: ImportRequest): Promise<Import> {
    importSourceFrom(request);
    await this.options.publisher.admit(publicationOf(request));
    if (this.jobsWhere(isPending).length >= importsPendingMax) {
      throw new Problem("exhausted", `${importsPendingMax} imports wait already; try again when some have ended`);
    }
    const twin = this.jobsWhere((job) => isPending(job) && job.pending.request.name === request.name)[0];
    if (twin !== undefined) {
      throw new Problem(
        "already-exists",
        `an import of "${request.name}" runs already; wait for it, or end it with \`bootswarm cancel-import ${twin.pending.id}\``,
      );
    }
    const job = newJob({ id: newImportId(), request, requestedAtMs: Date.now(), restarts: 0 });
    // Taken into the table before the first wait, so that a second request of that name sees it.
    this.jobs.set(job.pending.id, job);
    try {
      await this.pending.save(job.pending);
    } catch (error) {
      this.jobs.delete(job.pending.id);
      throw new Problem("exhausted", "the import cannot be written down in the data directory", { cause: error });
    }
    this.admitNext();
    return importOf(job);
  }

  /** Takes up what an earlier seeder left. */
  async startAgain(left: PendingImport): Promise<void> {
    const job = newJob({ ...left, restarts: left.restarts + 1 });
    this.jobs.set(left.id, job);
    if (job.pending.restarts > restartsMax) {
      const message = `the seeder was stopped ${restartsMax} times while this import ran; ask for it again if it should be tried`;
      await this.end(job, ImportState.FAILED, message);
      return;
    }
    await this.pending.save(job.pending);
    this.admitNext();
  }

  async *watch(id: string, signal: AbortSignal): AsyncIterable<Import> {
    const job = this.jobNamed(id);
    let shown = "";
    while (!signal.aborted) {
      const now = importOf(job);
      // Numbers as big as sizes come as bigint, which JSON does not know.
      const text = JSON.stringify(now, (_, value) => (typeof value === "bigint" ? String(value) : value));
      if (text !== shown) yield now;
      shown = text;
      if (!isPending(job)) return;
      await pause(watchIntervalMs, signal);
    }
  }

  list(): Import[] {
    return [...this.jobs.values()].reverse().map(importOf);
  }

  async cancel(id: string): Promise<Import> {
    const job = this.jobNamed(id);
    if (job.state === ImportState.QUEUED) await this.end(job, ImportState.CANCELLED);
    job.abort.abort(new Problem("cancelled", "the import was cancelled"));
    await job.ended;
    return importOf(job);
  }

  async close(): Promise<void> {
    this.closing = true;
    const stopping = new Problem("cancelled", "the seeder is stopping");
    for (const job of this.jobs.values()) job.abort.abort(stopping);
    await Promise.all([...this.jobs.values()].map((job) => job.ended));
  }

  private admitNext(): void {
    while (
      !this.closing &&
      this.jobsWhere((job) => job.state === ImportState.ACTIVE).length < this.options.config.concurrency
    ) {
      const job = this.jobsWhere((candidate) => candidate.state === ImportState.QUEUED)[0];
      if (job === undefined) return;
      job.state = ImportState.ACTIVE;
      job.ended = this.run(job).finally(() => this.admitNext());
    }
  }

  private async run(job: Job): Promise<void> {
    const { request, id } = job.pending;
    const log = this.options.log.child({ import: id, name: request.name, source: shownSource(request) });
    log.info({ restarts: job.pending.restarts }, "import started");
    try {
      job.digest = await this.publishFrom(job, log);
      await this.end(job, ImportState.PUBLISHED);
      log.info({ digest: job.digest, sizeBytes: job.doneBytes }, "import published");
    } catch (error) {
      // Left pending: the next seeder on this directory starts it again.
      if (this.closing) return;
      const cancelled = job.abort.signal.aborted;
      const message = messageOf(error).slice(0, errorLengthMax);
      if (cancelled) log.info({}, "import cancelled");
      else log.warn({ error: message }, "import failed");
      await this.end(job, cancelled ? ImportState.CANCELLED : ImportState.FAILED, cancelled ? "" : message);
    }
  }

  /** Resolves to the published image's digest. */
  private async publishFrom(job: Job, log: Log): Promise<string> {
    const { request, id } = job.pending;
    const temporaryDirectory = join(this.options.directory, "tmp", id);
    await mkdir(temporaryDirectory, { recursive: true });
    let child: ImportProcess | undefined;
    try {
      child = startImportProcess({
        order: {
          source: importSourceFrom(request),
          file: request.file,
          publicDhtBootstrap: request.publicDht ? this.options.config.publicDhtBootstrap : [],
          temporaryDirectory,
        },
        limits: this.options.config,
        signal: job.abort.signal,
        onPeers: (peers) => {
          job.peers = peers;
        },
        log,
      });
      const sizeBytes = await child.opened;
      job.sizeBytes = sizeBytes ?? 0;
      const publication = { ...publicationOf(request), sizeBytes, signal: job.abort.signal };
      const { image } = await this.options.publisher.publish(counted(child.bytes, job), publication);
      return image.digest;
    } finally {
      await child?.close();
      await rm(temporaryDirectory, { recursive: true, force: true });
    }
  }

  private async end(job: Job, state: ImportState, error = ""): Promise<void> {
    job.state = state;
    job.error = error;
    job.peers = 0;
    await this.pending.remove(job.pending.id);
    const ended = this.jobsWhere((other) => !isPending(other));
    for (const old of ended.slice(0, Math.max(0, ended.length - importsEndedMax))) this.jobs.delete(old.pending.id);
  }

  private jobNamed(id: string): Job {
    const job = this.jobs.get(id);
    if (job === undefined) {
      throw new Problem(
        "not-found",
        `there is no import "${id.slice(0, 80)}"; "bootswarm imports" lists those there are`,
      );
    }
    return job;
  }

  /** In the order they were asked for. */
  private jobsWhere(fits: (job: Job) => boolean): Job[] {
    return [...this.jobs.values()].filter(fits);
  }
}

function newJob(pending: PendingImport): Job {
  return {
    pending,
    state: ImportState.QUEUED,
    sizeBytes: 0,
    doneBytes: 0,
    peers: 0,
    error: "",
    digest: "",
    rate: new Rate(),
    abort: new AbortController(),
    ended: Promise.resolve(),
  };
}

function isPending(job: Job): boolean {
  return job.state === ImportState.QUEUED || job.state === ImportState.ACTIVE;
}

function publicationOf(request: ImportRequest) {
  return {
    name: request.name,
    sha256: request.sha256 === "" ? undefined : request.sha256.toLowerCase(),
    torrent: true,
  };
}

async function* counted(bytes: AsyncIterable<Uint8Array>, job: Job): AsyncIterable<Uint8Array> {
  for await (const chunk of bytes) {
    job.doneBytes += chunk.length;
    job.rate.add(performance.now(), job.doneBytes);
    yield chunk;
  }
}

function importOf(job: Job): Import {
  return create(ImportSchema, {
    id: job.pending.id,
    source: shownSource(job.pending.request),
    name: job.pending.request.name,
    state: job.state,
    sizeBytes: BigInt(job.sizeBytes),
    doneBytes: BigInt(job.doneBytes),
    bytesPerSecond: BigInt(job.state === ImportState.ACTIVE ? job.rate.bytesPerSecond(performance.now()) : 0),
    peers: job.peers,
    error: job.error,
    digest: job.digest,
    requestedAt: timestampFromMs(job.pending.requestedAtMs),
    restarts: job.pending.restarts,
  });
}

function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, delayMs);
    signal.addEventListener("abort", end, { once: true });
  });
}
