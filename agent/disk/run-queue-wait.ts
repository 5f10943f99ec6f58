import { closeSync, openSync, readSync } from "node:fs";

/** Three numbers and blanks between. */
const textBytesMax = 80;

/**
 * How long this thread was ready to run and had to wait for a processor: what of a read's time is not the disk's. The kernel
 * tells in /proc/.../schedstat (Documentation/scheduler/sched-stats.rst: time run, time waited, both in nanoseconds, and
 * times run), for three microseconds of work.
 */
export class RunQueueWait {
  readonly #path: string;
  readonly #text = Buffer.alloc(textBytesMax);
  /** -1 where the kernel does not tell. */
  #fd: number | undefined;

  constructor(path = "/proc/thread-self/schedstat") {
    this.#path = path;
  }

  /** Milliseconds in all, as far as the kernel tells. */
  ms(): number {
    this.#fd ??= this.#open();
    if (this.#fd < 0) return 0;
    try {
      const bytes = readSync(this.#fd, this.#text, 0, textBytesMax, 0);
      const waitedNs = Number(this.#text.toString("latin1", 0, bytes).split(" ")[1]);
      return Number.isFinite(waitedNs) ? waitedNs / 1e6 : 0;
    } catch {
      return 0;
    }
  }

  close(): void {
    if (this.#fd !== undefined && this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }

  #open(): number {
    try {
      return openSync(this.#path, "r");
    } catch {
      return -1;
    }
  }
}
