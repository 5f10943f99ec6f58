/**
 * What placement reads of all nodes at once, in columns of numbers: nodes' records lie anywhere in memory, and to look at
 * ten thousand of them takes several times as long as to weigh them. A node has a slot from when it becomes known until it
 * is forgotten; its number then goes to another.
 */
import { isActive, type NodeRecord } from "./node-view.ts";
import { textHash } from "./text-hash.ts";

/** Slots to begin with; they double. */
const slotsMin = 64;

export class NodeColumns {
  /** By slot; undefined where there is no node. */
  readonly records: (NodeRecord | undefined)[] = [];
  readonly #free: number[] = [];
  #upUntilMs = new Float64Array(slotsMin);
  #activeFetches = new Uint16Array(slotsMin);
  #idHash = new Uint32Array(slotsMin);
  /** Whether another seeder has the node, whose time then is that for which that seeder was heard. */
  #elsewhere = new Uint8Array(slotsMin);

  /** Slots that there are, of nodes or free. */
  get size(): number {
    return this.records.length;
  }

  /** A node has become known, or what is known of it has changed. */
  update(record: NodeRecord): void {
    if (record.slot < 0) this.#take(record);
    const { slot, fetches } = record;
    let active = 0;
    for (const fetch of fetches) if (isActive(fetch)) active++;
    this.#activeFetches[slot] = active;
    this.#upUntilMs[slot] = record.reportedAtMs + record.leaseMs;
    this.#elsewhere[slot] = record.elsewhere ? 1 : 0;
  }

  /** A node is forgotten. */
  remove(record: NodeRecord): void {
    const { slot } = record;
    this.records[slot] = undefined;
    // So that it is never up; other seeders may not have been heard at all.
    this.#upUntilMs[slot] = Number.NEGATIVE_INFINITY;
    this.#elsewhere[slot] = 0;
    this.#free.push(slot);
    record.slot = -1;
  }

  /** Whether there is a node in a slot, and it is up; `heardAtMs` is when other seeders' nodes were last heard of. */
  isUp(slot: number, nowMs: number, heardAtMs: number): boolean {
    const asOfMs = this.#elsewhere[slot] === 1 ? Math.min(nowMs, heardAtMs) : nowMs;
    return asOfMs <= (this.#upUntilMs[slot] as number);
  }

  /** How many fetches take one of the node's active places. */
  activeFetches(slot: number): number {
    return this.#activeFetches[slot] as number;
  }

  /** Of the node's id. */
  idHash(slot: number): number {
    return this.#idHash[slot] as number;
  }

  #take(record: NodeRecord): void {
    const slot = this.#free.pop() ?? this.records.length;
    if (slot === this.#upUntilMs.length) this.#grow(2 * slot);
    this.records[slot] = record;
    this.#idHash[slot] = textHash(record.node.id);
    record.slot = slot;
  }

  #grow(length: number): void {
    this.#upUntilMs = grown(this.#upUntilMs, new Float64Array(length));
    this.#activeFetches = grown(this.#activeFetches, new Uint16Array(length));
    this.#idHash = grown(this.#idHash, new Uint32Array(length));
    this.#elsewhere = grown(this.#elsewhere, new Uint8Array(length));
  }
}

function grown<Column extends { set(from: Column): void }>(from: Column, to: Column): Column {
  to.set(from);
  return to;
}
