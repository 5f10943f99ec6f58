/**
 * A simulated file system behind the interface of swarm/disk.ts: it takes simulated time, and by seed it writes short,
 * fails, fills up, flips bits, and loses what was not synced when the power goes. See test/sim/README.md.
 */
import type { Disk, DiskFile, FileFacts } from "../../../swarm/disk.ts";
import type { EventQueue } from "../event-queue.ts";
import type { Random } from "../random.ts";
import { blockBytes, NameJournal, SimDirectory, SimFile, type SimNode } from "./nodes.ts";

/** How often, of a hundred operations, something goes wrong. */
export interface DiskFaults {
  shortWrite: number;
  readError: number;
  writeError: number;
  syncError: number;
}

const noFaults: DiskFaults = { shortWrite: 0, readError: 0, writeError: 0, syncError: 0 };
/** How long an operation takes at most. */
const operationMsMax = 3;

export class SimDisk {
  readonly #queue: EventQueue;
  readonly #random: Random;
  readonly #root = new SimDirectory();
  readonly #journal = new NameJournal();
  #mount = new Mount();
  faults: DiskFaults = noFaults;
  /** Bytes that files may occupy. */
  capacityBytes = Number.POSITIVE_INFINITY;

  constructor(queue: EventQueue, random: Random) {
    this.#queue = queue;
    this.#random = random;
  }

  /** Makes a directory that lasts, as an installation does. */
  makeDirectory(path: string): void {
    this.#makeDirectory(path, true);
    this.#journal.flush(this.#root);
  }

  /** What the process that runs now sees. */
  get disk(): Disk {
    const mount = this.#mount;
    const run = <T>(what: string, path: string, work: () => T) => this.#run(mount, what, path, work);
    return {
      open: (path, flags) => run("open", path, () => this.#open(mount, path, flags)),
      stat: (path) => run("stat", path, () => factsOf(this.#find(path))),
      statfs: (path) => run("statfs", path, () => this.#space()),
      readdir: (path) => run("readdir", path, () => [...this.#directory(path).entries.keys()]),
      mkdir: (path, options) => run("mkdir", path, () => this.#makeDirectory(path, options?.recursive ?? false)),
      rename: (from, to) => run("rename", from, () => this.#rename(from, to)),
      rm: (path, options) => run("rm", path, () => this.#remove(path, options ?? {})),
    };
  }

  /** The process dies: what it has asked for may be done or not, and what is done stays. */
  kill(): void {
    const { pending } = this.#mount;
    this.#mount.isDead = true;
    this.#mount = new Mount();
    for (const work of pending) if (this.#random.chance(0.5)) work();
    pending.clear();
  }

  /** The machine dies: of what was not synced, anything may be lost. */
  losePower(): void {
    this.kill();
    this.#journal.losePower(this.#random);
    const seen = new Set<SimNode>();
    const visit = (node: SimNode) => {
      if (seen.has(node)) return;
      seen.add(node);
      if (node instanceof SimFile) return node.losePower(this.#random);
      node.entries.clear();
      for (const [name, child] of node.durable) {
        node.entries.set(name, child);
        visit(child);
      }
    };
    visit(this.#root);
  }

  /** The file's bytes as they are, for a look from outside; undefined if there is no such file. */
  peek(path: string): Buffer | undefined {
    const node = this.#lookUp(path);
    return node instanceof SimFile ? node.bytes : undefined;
  }

  /** Puts bytes in place of a file's, or takes the file away, as a hand from outside would; for good. */
  meddle(path: string, bytes: Uint8Array | undefined): void {
    const { parent, name } = this.#parentOf(path);
    if (bytes === undefined) {
      for (const entries of [parent.entries, parent.durable]) entries.delete(name);
      return;
    }
    const file = new SimFile();
    file.write(bytes, 0);
    file.sync();
    for (const entries of [parent.entries, parent.durable]) entries.set(name, file);
  }

  /** Flips a bit of a file, in memory and on the platter. */
  flip(path: string, at: number): void {
    const node = this.#lookUp(path);
    if (node instanceof SimFile && node.bytes.length > 0) node.flip(at % node.bytes.length, this.#random.below(8));
  }

  allocatedBytesOf(path: string): number {
    const node = this.#lookUp(path);
    return node instanceof SimFile ? node.allocated.size * blockBytes : 0;
  }

  get usedBytes(): number {
    let blocks = 0;
    const visit = (node: SimNode) => {
      if (node instanceof SimFile) blocks += node.allocated.size;
      else for (const child of node.entries.values()) visit(child);
    };
    visit(this.#root);
    return blocks * blockBytes;
  }

  /** Does the work after some time, if the process still lives by then. One that does not never hears of it. */
  #run<T>(mount: Mount, what: string, path: string, work: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      const attempt = () => {
        try {
          const result = work();
          if (!mount.isDead) resolve(result);
        } catch (error) {
          if (!(error instanceof SystemError)) throw error;
          error.message = `${error.code}: ${what} "${path}"`;
          error.syscall = what;
          if (!mount.isDead) reject(error);
        }
      };
      if (mount.isDead) return;
      mount.pending.add(attempt);
      this.#queue.after(this.#random.between(0.02, operationMsMax), () => {
        if (mount.pending.delete(attempt)) attempt();
      });
    });
  }

  #maybeFail(share: number): void {
    if (share > 0 && this.#random.chance(share / 100)) throw new SystemError("EIO");
  }

  #open(mount: Mount, path: string, flags: "r" | "r+" | "w+" | "wx"): DiskFile {
    const { parent, name } = this.#parentOf(path);
    let node = parent.entries.get(name);
    if (node && flags === "wx") throw new SystemError("EEXIST");
    if (node instanceof SimDirectory && flags !== "r") throw new SystemError("EISDIR");
    if (!node) {
      if (flags === "r" || flags === "r+") throw new SystemError("ENOENT");
      node = new SimFile();
      this.#journal.make([{ directory: parent, name, node }]);
    } else if (flags === "w+") (node as SimFile).truncate(0);
    return this.#handle(mount, path, node);
  }

  #handle(mount: Mount, path: string, node: SimNode): DiskFile {
    const run = <T>(what: string, work: () => T) => this.#run(mount, what, path, work);
    const file = () => {
      if (node instanceof SimDirectory) throw new SystemError("EISDIR");
      return node;
    };
    const read = (buffer: Uint8Array, position: number) => {
      this.#maybeFail(this.faults.readError);
      const bytes = file().bytes.subarray(position, position + buffer.length);
      buffer.set(bytes);
      return bytes.length;
    };
    const sync = () => {
      if (node instanceof SimDirectory) return this.#journal.flush(node);
      try {
        this.#maybeFail(this.faults.syncError);
      } catch (error) {
        node.failSync(this.#random);
        throw error;
      }
      node.sync();
    };
    return {
      read: (buffer, offset, length, position) =>
        run("read", () => ({ bytesRead: read(buffer.subarray(offset, offset + length), position) })),
      readv: (buffers, position) => run("readv", () => ({ bytesRead: read(buffers[0] as Uint8Array, position) })),
      write: (buffer, offset, length, position) => {
        const bytes = Buffer.from(buffer.subarray(offset, offset + length));
        return run("write", () => ({ bytesWritten: this.#write(file(), bytes, position) }));
      },
      truncate: (length) => run("ftruncate", () => file().truncate(length)),
      datasync: () => run("fdatasync", sync),
      sync: () => run("fsync", sync),
      stat: () => run("fstat", () => factsOf(node)),
      close: () => run("close", () => {}),
    };
  }

  #write(file: SimFile, bytes: Buffer, position: number): number {
    this.#maybeFail(this.faults.writeError);
    const isShort = bytes.length > 1 && this.#random.chance(this.faults.shortWrite / 100);
    let length = isShort ? this.#random.whole(1, bytes.length - 1) : bytes.length;
    let freeBlocks = Math.floor((this.capacityBytes - this.usedBytes) / blockBytes);
    for (let at = position; at < position + length; at = (Math.floor(at / blockBytes) + 1) * blockBytes) {
      if (file.allocated.has(Math.floor(at / blockBytes)) || freeBlocks-- > 0) continue;
      length = at - position;
    }
    if (length === 0 && bytes.length > 0) throw new SystemError("ENOSPC");
    file.write(bytes.subarray(0, length), position);
    return length;
  }

  #makeDirectory(path: string, recursive: boolean): void {
    let directory = this.#root;
    const names = namesOf(path);
    for (const [at, name] of names.entries()) {
      const isLast = at === names.length - 1;
      let next = directory.entries.get(name);
      if (next && isLast && !recursive) throw new SystemError("EEXIST");
      if (!next) {
        if (!recursive && !isLast) throw new SystemError("ENOENT");
        next = new SimDirectory();
        this.#journal.make([{ directory, name, node: next }]);
      }
      if (next instanceof SimFile) throw new SystemError("ENOTDIR");
      directory = next;
    }
  }

  #rename(from: string, to: string): void {
    const source = this.#parentOf(from);
    const target = this.#parentOf(to);
    const node = source.parent.entries.get(source.name);
    if (!node) throw new SystemError("ENOENT");
    const there = target.parent.entries.get(target.name);
    if (there instanceof SimDirectory && there.entries.size > 0) throw new SystemError("ENOTEMPTY");
    this.#journal.make([
      { directory: source.parent, name: source.name, node: undefined },
      { directory: target.parent, name: target.name, node },
    ]);
  }

  #remove(path: string, options: { recursive?: boolean; force?: boolean }): void {
    const node = this.#lookUp(path);
    if (!node) {
      if (options.force) return;
      throw new SystemError("ENOENT");
    }
    if (node instanceof SimDirectory) {
      if (!options.recursive) throw new SystemError("EISDIR");
      for (const name of [...node.entries.keys()]) this.#remove(`${path}/${name}`, options);
    }
    const { parent, name } = this.#parentOf(path);
    this.#journal.make([{ directory: parent, name, node: undefined }]);
  }

  #space() {
    const capacity = Number.isFinite(this.capacityBytes) ? this.capacityBytes : 2 ** 40;
    const bavail = Math.max(0, Math.floor((capacity - this.usedBytes) / blockBytes));
    return { bavail, blocks: Math.floor(capacity / blockBytes), bsize: blockBytes };
  }

  #lookUp(path: string): SimNode | undefined {
    let node: SimNode | undefined = this.#root;
    for (const name of namesOf(path)) {
      if (!(node instanceof SimDirectory)) return undefined;
      node = node.entries.get(name);
    }
    return node;
  }

  #find(path: string): SimNode {
    const node = this.#lookUp(path);
    if (!node) throw new SystemError("ENOENT");
    return node;
  }

  #directory(path: string): SimDirectory {
    const node = this.#find(path);
    if (node instanceof SimFile) throw new SystemError("ENOTDIR");
    return node;
  }

  #parentOf(path: string): { parent: SimDirectory; name: string } {
    const names = namesOf(path);
    const name = names.pop() as string;
    return { parent: this.#directory(names.join("/")), name };
  }
}

/** What a process has of the disk; it ends with the process. */
class Mount {
  readonly pending = new Set<() => void>();
  isDead = false;
}

class SystemError extends Error {
  readonly code: string;
  syscall = "";

  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

function factsOf(node: SimNode): FileFacts {
  if (node instanceof SimDirectory) return { size: 0, blocks: 0, isFile: () => false };
  return { size: node.bytes.length, blocks: node.allocated.size * (blockBytes / 512), isFile: () => true };
}

function namesOf(path: string): string[] {
  return path.split("/").filter((name) => name !== "");
}
