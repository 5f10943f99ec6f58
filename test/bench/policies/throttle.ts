/**
 * A slow disk out of a fast one: a control group in which the kernel lets processes read so many times, and so many bytes, a
 * second from the disk below a directory. The page cache and the kernel's read-ahead are as ever.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const root = "/sys/fs/cgroup/blkio";

export interface DiskLimits {
  readsPerSecond: number;
  bytesPerSecond: number;
}

export class ThrottledDisk implements Disposable {
  readonly #group = join(root, `bootswarm-bench-${process.pid}`);
  readonly #device: string;

  /** @throws Error saying what is missing. */
  constructor(directory: string, { readsPerSecond, bytesPerSecond }: DiskLimits) {
    if (process.getuid?.() !== 0) throw new Error("control groups need root: run this as root");
    if (!existsSync(join(root, "blkio.throttle.read_iops_device"))) {
      throw new Error(`${root} has no block I/O controller (version 1): boot Linux with it`);
    }
    this.#device = diskBelow(directory);
    mkdirSync(this.#group);
    process.once("exit", () => this[Symbol.dispose]());
    this.#write("blkio.throttle.read_iops_device", `${this.#device} ${readsPerSecond}`);
    this.#write("blkio.throttle.read_bps_device", `${this.#device} ${bytesPerSecond}`);
  }

  /** The command line that runs a command in the group. */
  command(command: string[]): string[] {
    return ["/bin/sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', this.#group, ...command];
  }

  /** What the group has read from the disk so far. */
  read(): { bytes: number; reads: number } {
    const figure = (name: string) =>
      Number(
        new RegExp(`^${this.#device} Read (\\d+)$`, "m").exec(readFileSync(join(this.#group, name), "utf8"))?.[1] ?? 0,
      );
    return { bytes: figure("blkio.throttle.io_service_bytes"), reads: figure("blkio.throttle.io_serviced") };
  }

  [Symbol.dispose](): void {
    if (existsSync(this.#group)) rmdirSync(this.#group);
  }

  #write(name: string, text: string): void {
    writeFileSync(join(this.#group, name), text);
  }
}

/** Has the page cache forget files. */
export function forget(paths: readonly string[]): void {
  for (const path of paths) execFileSync("dd", [`if=${path}`, "iflag=nocache", "count=0", "status=none"]);
}

/** MAJOR:MINOR of the whole disk that a directory is on. */
function diskBelow(directory: string): string {
  const { dev } = statSync(directory);
  const [major, minor] = [(dev >> 8) & 0xfff, (dev & 0xff) | ((dev >> 12) & 0xfff00)];
  const device = `/sys/dev/block/${major}:${minor}`;
  if (!existsSync(device)) throw new Error(`${directory} is on no disk: choose another with --disk`);
  const whole = existsSync(join(device, "partition")) ? join(device, "..", "dev") : join(device, "dev");
  return readFileSync(whole, "utf8").trim();
}
