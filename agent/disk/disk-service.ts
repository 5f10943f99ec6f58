/** What the disk worker does, without the thread around it: images, exports and listeners, as the main thread says. */
import { readFile } from "node:fs/promises";
import { messageOf, Problem } from "../../daemon/problem.ts";
import type { Clock } from "../../swarm/types.ts";
import { BootMemory } from "./boot/boot-memory.ts";
import { ImageFile } from "./image-file.ts";
import type { ExportListen, ExportSpec, FromDiskWorker, HostedImage, TlsFiles, ToDiskWorker } from "./messages.ts";
import { LargeReads } from "./nbd/large-reads.ts";
import { ReplyBuffers } from "./nbd/reply-buffers.ts";
import { NbdServer } from "./nbd/server.ts";
import { OnceATurn } from "./once-a-turn.ts";
import { RunQueueWait } from "./run-queue-wait.ts";
import { ServedExport } from "./served-export.ts";
import { Sparingly } from "./sparingly.ts";

/** How often totals are told, if they have changed. */
const statsIntervalMs = 1_000;

interface Opened {
  served: ServedExport;
  servers: NbdServer[];
}

export class DiskService {
  readonly #post: (message: FromDiskWorker) => void;
  readonly #clock: Clock;
  readonly #memory = { buffers: new ReplyBuffers(), largeReads: new LargeReads() };
  readonly #diskTurn = new OnceATurn();
  readonly #runQueue = new RunQueueWait();
  readonly #boot: BootMemory;
  readonly #files = new Map<string, ImageFile>();
  readonly #exports = new Map<string, Opened>();
  readonly #servers = new Map<string, NbdServer>();
  /** Exports are opened and closed one after the other: they share listeners. */
  #changing: Promise<void> = Promise.resolve();
  #toldStats = "";
  #cancelStats: () => void;

  constructor(post: (message: FromDiskWorker) => void, clock: Clock) {
    this.#post = post;
    this.#clock = clock;
    this.#boot = new BootMemory({
      onBad: (digest, path, error, isDamaged) => post({ kind: "boot-image-bad", digest, path, error, isDamaged }),
    });
    this.#cancelStats = clock.after(statsIntervalMs, () => this.#tellStats());
  }

  handle(message: ToDiskWorker): void {
    switch (message.kind) {
      case "image":
        this.#hostImage(message.image);
        break;
      case "arrived":
        this.#files.get(message.digest)?.arrived();
        break;
      case "forget":
        this.#files.get(message.digest)?.close();
        this.#files.delete(message.digest);
        // Its boot image stays in memory for the next VM, until others need the room.
        break;
      case "open":
        this.#change(() => this.#open(message.export));
        break;
      case "close":
        this.#change(() => this.#close(message.id));
        break;
      case "boot-image":
        this.#setBootImage(message);
        break;
      case "memory":
        this.#boot.setBudget(message.bootBytesMax);
        break;
      case "record":
        // An export that is about to be opened is recorded from its first read on.
        this.#change(async () => this.#exports.get(message.id)?.served.log.record());
        break;
      case "record-stop":
        this.#change(async () => {
          const reads = this.#exports.get(message.id)?.served.log.stop() ?? new Float64Array(0);
          this.#post({ kind: "recorded", id: message.id, reads });
        });
        break;
    }
  }

  /** Ends all connections and listeners. */
  async close(): Promise<void> {
    this.#cancelStats();
    this.#change(async () => {
      for (const id of [...this.#exports.keys()]) await this.#close(id);
      for (const file of this.#files.values()) file.close();
      this.#runQueue.close();
    });
    await this.#changing;
  }

  #change(act: () => Promise<void>): void {
    this.#changing = this.#changing.then(act);
  }

  /** In order with exports: one that is opened after it finds the boot image. */
  #setBootImage({ digest, sizeBytes, files }: Extract<ToDiskWorker, { kind: "boot-image" }>): void {
    this.#change(async () => {
      if (files) await this.#boot.use({ digest, sizeBytes }, files);
      else this.#boot.drop(digest);
    });
  }

  #hostImage(image: HostedImage): void {
    const { digest } = image;
    const known = this.#files.get(digest);
    if (known) {
      known.update(image);
      return;
    }
    const file = new ImageFile(image, {
      clock: this.#clock,
      diskTurn: this.#diskTurn,
      runQueueMs: () => this.#runQueue.ms(),
      onDemand: (ranges) => this.#post({ kind: "demand", digest, ranges }),
      onServed: (waitedMs) => this.#post({ kind: "served", digest, waitedMs }),
      onLost: (offset, error) => this.#post({ kind: "lost", digest, offset, error }),
    });
    this.#files.set(digest, file);
  }

  async #open(spec: ExportSpec): Promise<void> {
    try {
      if (this.#exports.has(spec.id)) throw new Problem("already-exists", `disk ${spec.id} is served already`);
      const file = this.#files.get(spec.digest);
      if (!file) throw new Problem("not-found", `the disk worker does not know image ${spec.digest}`);
      const served = new ServedExport(spec, file, this.#boot, this.#clock, this.#post);
      const opened: Opened = { served, servers: [] };
      this.#exports.set(spec.id, opened);
      try {
        for (const listen of spec.tcp ? [spec.listen, spec.tcp] : [spec.listen]) {
          const server = await this.#serverAt(listen);
          server.add(served);
          opened.servers.push(server);
        }
      } catch (error) {
        await this.#end(spec.id);
        throw error;
      }
      const [uri, tcpUri] = opened.servers.map((server) => server.uriOf(spec.name));
      this.#post({ kind: "opened", id: spec.id, uri: uri as string, tcpUri });
    } catch (error) {
      const code = error instanceof Problem ? error.kind : undefined;
      this.#post({ kind: "open-failed", id: spec.id, error: messageOf(error), ...(code !== undefined && { code }) });
    }
  }

  async #close(id: string): Promise<void> {
    await this.#end(id);
    this.#post({ kind: "closed", id });
  }

  async #end(id: string): Promise<void> {
    const opened = this.#exports.get(id);
    if (opened) this.#exports.delete(id);
    for (const server of opened?.servers ?? []) await server.remove((opened as Opened).served);
    opened?.served.close();
    for (const [key, server] of this.#servers) {
      if (!server.isEmpty) continue;
      this.#servers.delete(key);
      await server.close();
    }
  }

  /** The listener there, opened if need be. */
  async #serverAt(listen: ExportListen): Promise<NbdServer> {
    const key = "socketPath" in listen ? listen.socketPath : `${listen.host} ${listen.port}`;
    const known = this.#servers.get(key);
    if (known) return known;
    const sparingly = new Sparingly();
    const onBreach = (reason: string) => {
      const count = sparingly.note(this.#clock.now());
      if (count !== undefined) this.#post({ kind: "breach", listen: key, reason, count });
    };
    const server = await NbdServer.open({
      listen,
      tls: "socketPath" in listen || !listen.tls ? undefined : await readTls(listen.tls),
      memory: this.#memory,
      clock: this.#clock,
      onBreach,
    });
    this.#servers.set(key, server);
    return server;
  }

  #tellStats(): void {
    this.#cancelStats = this.#clock.after(statsIntervalMs, () => this.#tellStats());
    const exports = [...this.#exports.values()].map(({ served }) => served.stats);
    for (const [id, { served }] of this.#exports) {
      const progress = served.log.progress();
      if (progress) this.#post({ kind: "recording", id, progress });
    }
    const boot = this.#boot.stats();
    const text = JSON.stringify([exports, boot]);
    if (text === this.#toldStats) return;
    this.#toldStats = text;
    this.#post({ kind: "stats", exports, boot });
  }
}

async function readTls(files: TlsFiles): Promise<{ cert: string; key: string; ca?: string }> {
  const read = async (path: string) => {
    try {
      return await readFile(path, "utf8");
    } catch (error) {
      throw new Problem("invalid", `cannot read ${path}, which is configured for NBD over TCP`, { cause: error });
    }
  };
  const [cert, key] = [await read(files.certPath), await read(files.keyPath)];
  return files.caPath === undefined ? { cert, key } : { cert, key, ca: await read(files.caPath) };
}
