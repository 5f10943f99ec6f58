/**
 * The pieces that are being assembled: of each its blocks, of whom they are asked and who sent them, and the pieces by who
 * opened them. Pure bookkeeping; which block to take next is the picker's choice.
 */
import { blockBytes } from "./limits.ts";
import type { Block } from "./wire.ts";

const missing = 0;
const requested = 1;
const received = 2;

/** A piece that somebody is fetching. Only `Assemblies` changes it. */
export interface Assembly<Requester> {
  readonly index: number;
  /** Who opened it; undefined once that requester has given it up. */
  owner: Requester | undefined;
  /** Per block: missing, requested or received. */
  readonly states: Uint8Array;
  /** Per block: of whom it is asked now. */
  requesters: Requester[][];
  missingBlocks: number;
  receivedBlocks: number;
  /** Per block: who sent it. */
  readonly authors: (Requester | undefined)[];
  /** The piece failed before and nobody knows by whose fault: all of it must come from one requester. */
  readonly exclusive: boolean;
}

/** A block that is not here, and who is asked for it. */
export interface OpenBlock<Requester> {
  block: Block;
  askedOf: readonly Requester[];
}

/** Whether all of a piece is here. */
export function isWhole({ receivedBlocks, states }: Assembly<unknown>): boolean {
  return receivedBlocks === states.length;
}

/** Whether a requester is asked for any of a piece. */
export function hasPartIn<Requester>(requester: Requester, { requesters }: Assembly<Requester>): boolean {
  return requesters.some((each) => each.includes(requester));
}

export class Assemblies<Requester extends object> {
  readonly #pieceBytes: (index: number) => number;
  readonly #all = new Map<number, Assembly<Requester>>();
  /** Those with blocks that nobody is asked for. */
  readonly #open = new Set<Assembly<Requester>>();
  /** The same by their owner, and those that have none. */
  readonly #openOf = new Map<Requester, Set<Assembly<Requester>>>();
  readonly #orphans = new Set<Assembly<Requester>>();

  /** @param pieceBytes length of a piece in bytes */
  constructor(pieceBytes: (index: number) => number) {
    this.#pieceBytes = pieceBytes;
  }

  get count(): number {
    return this.#all.size;
  }

  /** Whether no more than `countMax` blocks are to come, of all pieces together. */
  isToComeWithin(countMax: number): boolean {
    let count = 0;
    for (const { states, receivedBlocks } of this.#all.values()) {
      count += states.length - receivedBlocks;
      if (count > countMax) return false;
    }
    return true;
  }

  get(index: number): Assembly<Requester> | undefined {
    return this.#all.get(index);
  }

  /** The piece's assembly, which there must be. */
  at(index: number): Assembly<Requester> {
    const assembly = this.#all.get(index);
    if (!assembly) throw new Error(`assertion: piece ${index} is not being assembled`);
    return assembly;
  }

  [Symbol.iterator](): Iterator<Assembly<Requester>> {
    return this.#all.values();
  }

  /** Those with blocks that nobody is asked for. */
  get open(): ReadonlySet<Assembly<Requester>> {
    return this.#open;
  }

  /** Those of them that a requester opened. */
  openOf(requester: Requester): Iterable<Assembly<Requester>> {
    return this.#openOf.get(requester) ?? [];
  }

  /** Those of them that nobody fetches any more. */
  get orphans(): ReadonlySet<Assembly<Requester>> {
    return this.#orphans;
  }

  /** Begins with a piece, for nobody in particular if `owner` is undefined. */
  begin(index: number, owner: Requester | undefined, exclusive: boolean): Assembly<Requester> {
    const count = Math.ceil(this.#pieceBytes(index) / blockBytes);
    const assembly: Assembly<Requester> = {
      ...{ index, owner, exclusive },
      states: new Uint8Array(count),
      requesters: Array.from({ length: count }, () => []),
      missingBlocks: count,
      receivedBlocks: 0,
      authors: new Array<Requester | undefined>(count).fill(undefined),
    };
    this.#all.set(index, assembly);
    this.#setOpen(assembly, true);
    return assembly;
  }

  /** The piece is here, or is to be begun anew. */
  end(index: number): void {
    const assembly = this.#all.get(index);
    if (assembly) this.#setOpen(assembly, false);
    this.#all.delete(index);
  }

  /** Asks a requester for blocks that nobody is asked for, until `blocks` has `count`. */
  takeMissing(assembly: Assembly<Requester>, requester: Requester, count: number, blocks: Block[]): void {
    const { states } = assembly;
    for (let at = 0; at < states.length && assembly.missingBlocks > 0 && blocks.length < count; at++) {
      if (states[at] !== missing) continue;
      states[at] = requested;
      assembly.requesters[at]!.push(requester);
      this.#countMissing(assembly, -1);
      blocks.push(this.blockAt(assembly.index, at));
    }
  }

  /** Asks a requester for blocks that fewer than `requestersMax` others are asked for, until `blocks` has `count`. */
  takeRequested(
    assembly: Assembly<Requester>,
    requester: Requester,
    count: number,
    requestersMax: number,
    blocks: Block[],
  ): void {
    for (let at = 0; at < assembly.states.length && blocks.length < count; at++) {
      const requesters = assembly.requesters[at]!;
      if (assembly.states[at] !== requested || requesters.length >= requestersMax) continue;
      if (requesters.includes(requester)) continue;
      requesters.push(requester);
      blocks.push(this.blockAt(assembly.index, at));
    }
  }

  /** Asks a requester for a block, whoever else is. */
  assign(assembly: Assembly<Requester>, requester: Requester, begin: number): void {
    const at = begin / blockBytes;
    assembly.requesters[at]!.push(requester);
    if (assembly.exclusive) this.setOwner(assembly, requester);
    if (assembly.states[at] !== missing) return;
    assembly.states[at] = requested;
    this.#countMissing(assembly, -1);
  }

  /** Whether a block of the piece is there to come. */
  isToCome(assembly: Assembly<Requester>, begin: number): boolean {
    const state = assembly.states[begin / blockBytes];
    return state !== undefined && state !== received;
  }

  /** The blocks that are to come, and of whom each is asked. */
  blocksToCome({ index, states, requesters }: Assembly<Requester>): OpenBlock<Requester>[] {
    const blocks: OpenBlock<Requester>[] = [];
    for (let at = 0; at < states.length; at++) {
      if (states[at] !== received) blocks.push({ block: this.blockAt(index, at), askedOf: requesters[at]! });
    }
    return blocks;
  }

  /** A block is here, from a requester; of whom else it is asked. */
  receive(assembly: Assembly<Requester>, requester: Requester, begin: number): Requester[] {
    const at = begin / blockBytes;
    if (assembly.states[at] === missing) this.#countMissing(assembly, -1);
    assembly.states[at] = received;
    assembly.receivedBlocks++;
    assembly.authors[at] = requester;
    const others = assembly.requesters[at]!.filter((other) => other !== requester);
    assembly.requesters[at] = [];
    return others;
  }

  /** All of the piece is here, from a requester: of each block, of whom else it is asked. */
  receiveWhole(assembly: Assembly<Requester>, requester: Requester): { block: Block; others: Requester[] }[] {
    const settled = assembly.requesters.map((requesters, at) => ({
      block: this.blockAt(assembly.index, at),
      others: requesters.filter((other) => other !== requester),
    }));
    assembly.requesters = assembly.requesters.map(() => []);
    assembly.states.fill(received);
    assembly.receivedBlocks = assembly.states.length;
    assembly.missingBlocks = 0;
    this.#setOpen(assembly, false);
    return settled;
  }

  /** A requester will not send a block. */
  release(assembly: Assembly<Requester>, requester: Requester, begin: number): void {
    const at = begin / blockBytes;
    const requesters = assembly.requesters[at]!;
    const place = requesters.indexOf(requester);
    if (place < 0) return;
    requesters.splice(place, 1);
    this.#released(assembly, at);
    if (assembly.owner === requester) this.#orphan(assembly);
  }

  /** A requester will send nothing more of a piece. */
  forget(assembly: Assembly<Requester>, requester: Requester): void {
    assembly.requesters.forEach((requesters, at) => {
      if (!requesters.includes(requester)) return;
      assembly.requesters[at] = requesters.filter((other) => other !== requester);
      this.#released(assembly, at);
    });
    if (assembly.owner === requester) this.#orphan(assembly);
  }

  setOwner(assembly: Assembly<Requester>, owner: Requester | undefined): void {
    const isOpen = this.#open.has(assembly);
    if (isOpen) this.#setOpen(assembly, false);
    assembly.owner = owner;
    if (isOpen) this.#setOpen(assembly, true);
  }

  blockAt(index: number, at: number): Block {
    const begin = at * blockBytes;
    return { index, begin, length: Math.min(blockBytes, this.#pieceBytes(index) - begin) };
  }

  #released(assembly: Assembly<Requester>, at: number): void {
    if (assembly.states[at] !== requested || assembly.requesters[at]!.length > 0) return;
    assembly.states[at] = missing;
    this.#countMissing(assembly, 1);
  }

  /** Its owner has given it up. What must come from one requester then begins anew with the next. */
  #orphan(assembly: Assembly<Requester>): void {
    this.setOwner(assembly, undefined);
    if (!assembly.exclusive || isWhole(assembly)) return;
    for (let at = 0; at < assembly.states.length; at++) {
      if (assembly.states[at] !== received) continue;
      assembly.states[at] = missing;
      assembly.receivedBlocks--;
      this.#countMissing(assembly, 1);
    }
  }

  #countMissing(assembly: Assembly<Requester>, change: 1 | -1): void {
    assembly.missingBlocks += change;
    const isOpen = assembly.missingBlocks > 0;
    if (isOpen !== this.#open.has(assembly)) this.#setOpen(assembly, isOpen);
  }

  #setOpen(assembly: Assembly<Requester>, isOpen: boolean): void {
    const { owner } = assembly;
    const sameOwner = owner === undefined ? this.#orphans : this.#openOf.get(owner);
    if (!isOpen) {
      this.#open.delete(assembly);
      sameOwner?.delete(assembly);
      if (owner !== undefined && sameOwner?.size === 0) this.#openOf.delete(owner);
      return;
    }
    this.#open.add(assembly);
    if (sameOwner) sameOwner.add(assembly);
    else this.#openOf.set(owner as Requester, new Set([assembly]));
  }
}
