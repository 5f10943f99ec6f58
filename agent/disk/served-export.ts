/** One export as the disk worker has it: the layers of its disk, and what it counts. */
import { messageOf } from "../../daemon/problem.ts";
import type { Clock } from "../../swarm/types.ts";
import type { BootMemory } from "./boot/boot-memory.ts";
import { BootImageDisk } from "./boot-image-disk.ts";
import { type Disk, DiskReadError } from "./disk.ts";
import { ImageDisk } from "./image-disk.ts";
import type { ImageFile } from "./image-file.ts";
import { LogDisk } from "./log-disk.ts";
import type { ExportSpec, ExportStats, FromDiskWorker } from "./messages.ts";
import type { NbdCounters, NbdExport } from "./nbd/export.ts";

export class ServedExport implements NbdExport {
  readonly spec: ExportSpec;
  readonly counters: NbdCounters = { connections: 0, reads: 0, readBytes: 0, errors: 0, lastReadAtMs: 0 };
  /** The topmost layer. */
  readonly disk: Disk;
  readonly log: LogDisk;
  readonly #image: ImageDisk;
  #bootImageBytes = 0;
  readonly #post: (message: FromDiskWorker) => void;

  constructor(
    spec: ExportSpec,
    file: ImageFile,
    boot: BootMemory,
    clock: Clock,
    post: (message: FromDiskWorker) => void,
  ) {
    this.spec = spec;
    this.#image = new ImageDisk(file, spec.readTimeoutMs, clock);
    this.#post = post;
    const layered = new BootImageDisk({
      below: this.#image,
      index: () => boot.indexOf(spec.digest),
      onServed: (index, bytes, isWhole) => {
        this.#bootImageBytes += bytes;
        boot.noteRead(index, isWhole);
      },
    });
    this.log = new LogDisk(layered, () => clock.now());
    this.disk = this.log;
  }

  get name(): string {
    return this.spec.name;
  }

  get description(): string {
    return `bootswarm image ${this.spec.digest}`;
  }

  get stats(): ExportStats {
    const { id } = this.spec;
    return { id, ...this.counters, ...this.#image.counters, bootImageBytes: this.#bootImageBytes };
  }

  readFailed(offset: number, length: number, error: unknown): void {
    const isTimeout = error instanceof DiskReadError && error.isTimeout;
    this.#post({ kind: "read-failed", id: this.spec.id, offset, length, error: messageOf(error), isTimeout });
  }

  close(): void {
    this.#image.close();
  }
}
