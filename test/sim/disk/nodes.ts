/**
 * Files and directories of a simulated file system, each as a process sees it (volatile) and as a loss of power would
 * leave it (durable).
 */
import type { Random } from "../random.ts";

export const blockBytes = 4_096;
const sectorBytes = 512;

export class SimFile {
  bytes = Buffer.alloc(0);
  /** What is on the platter. */
  #durable = Buffer.alloc(0);
  /** Blocks that were ever written: the others are holes. */
  readonly allocated = new Set<number>();
  /** Blocks that the next sync has to write. */
  readonly #dirty = new Set<number>();
  /** The shortest that it was cut to since the last sync: nothing of the platter's counts beyond. */
  #cutTo = Number.POSITIVE_INFINITY;

  write(bytes: Uint8Array, position: number): void {
    const end = position + bytes.length;
    if (end > this.bytes.length) this.#resize(end);
    this.bytes.set(bytes, position);
    for (let block = Math.floor(position / blockBytes); block * blockBytes < end; block++) {
      this.allocated.add(block);
      this.#dirty.add(block);
    }
  }

  truncate(length: number): void {
    this.#cutTo = Math.min(this.#cutTo, length);
    this.#resize(length);
    for (const blocks of [this.allocated, this.#dirty]) {
      for (const block of blocks) if (block * blockBytes >= length) blocks.delete(block);
    }
    // A cut block is written anew, with zeros behind the cut.
    if (length % blockBytes !== 0 && this.allocated.has(Math.floor(length / blockBytes))) {
      this.#dirty.add(Math.floor(length / blockBytes));
    }
  }

  /** Writes what is dirty. What a failed sync took for clean stays as it is on the platter. */
  sync(): void {
    const platter = Buffer.alloc(this.bytes.length);
    this.#durable.copy(platter, 0, 0, Math.min(this.#cutTo, this.#durable.length, platter.length));
    for (const block of this.#dirty) {
      this.bytes.copy(platter, block * blockBytes, block * blockBytes, (block + 1) * blockBytes);
    }
    this.#durable = platter;
    this.#dirty.clear();
    this.#cutTo = Number.POSITIVE_INFINITY;
  }

  /** A sync that failed: the kernel takes the blocks for clean, and may forget them or show them for a while. */
  failSync(random: Random): void {
    this.#dirty.clear();
    if (random.chance(0.5)) this.#show(this.#durable);
  }

  /** Of each block that was not synced there is the old, the new, or some sectors of either; of the size, one or the other. */
  losePower(random: Random): void {
    const keptShare = random.pick([0, 0.5, 1]);
    const left = Buffer.alloc(random.chance(keptShare) ? this.bytes.length : this.#durable.length);
    this.#durable.copy(left);
    for (const block of this.#dirty) {
      const isTorn = random.chance(0.1);
      const isKept = random.chance(keptShare);
      const end = Math.min((block + 1) * blockBytes, this.bytes.length, left.length);
      for (let at = block * blockBytes; at < end; at += sectorBytes) {
        if (isTorn ? random.chance(0.5) : isKept) this.bytes.copy(left, at, at, Math.min(at + sectorBytes, end));
      }
    }
    this.#show(left);
    this.#durable = Buffer.from(left);
    this.#dirty.clear();
    this.#cutTo = Number.POSITIVE_INFINITY;
  }

  flip(at: number, bit: number): void {
    for (const bytes of [this.bytes, this.#durable]) if (at < bytes.length) bytes[at]! ^= 1 << bit;
  }

  #show(bytes: Buffer): void {
    this.bytes = Buffer.from(bytes);
    for (const block of this.allocated) if (block * blockBytes >= bytes.length) this.allocated.delete(block);
  }

  #resize(length: number): void {
    const bytes = Buffer.alloc(length);
    this.bytes.copy(bytes);
    this.bytes = bytes;
  }
}

export type SimNode = SimFile | SimDirectory;

export class SimDirectory {
  readonly entries = new Map<string, SimNode>();
  readonly durable = new Map<string, SimNode>();
}

/** A change of names: it lasts as a whole or not at all. */
export interface NameChange {
  directory: SimDirectory;
  name: string;
  node: SimNode | undefined;
}

/** The names that have changed since their directories were last flushed, in order. */
export class NameJournal {
  #pending: NameChange[][] = [];

  make(changes: NameChange[]): void {
    for (const change of changes) apply(change, change.directory.entries);
    this.#pending.push(changes);
  }

  /** Makes every change that touches this directory last. */
  flush(directory: SimDirectory): void {
    const lasting = this.#pending.filter((changes) => changes.some((change) => change.directory === directory));
    this.#pending = this.#pending.filter((changes) => !lasting.includes(changes));
    for (const change of lasting.flat()) {
      apply(change, change.directory.durable);
      // What was done to that name before is overtaken.
      for (const changes of this.#pending) {
        const at = changes.findIndex(
          ({ directory: where, name }) => where === change.directory && name === change.name,
        );
        if (at >= 0) changes.splice(at, 1);
      }
    }
  }

  /** Any of the changes may be lost, whatever came after it. */
  losePower(random: Random): void {
    const keptShare = random.pick([0, 0.5, 1]);
    for (const changes of this.#pending) {
      if (random.chance(keptShare)) for (const change of changes) apply(change, change.directory.durable);
    }
    this.#pending = [];
  }
}

function apply({ name, node }: NameChange, entries: Map<string, SimNode>): void {
  if (node) entries.set(name, node);
  else entries.delete(name);
}
