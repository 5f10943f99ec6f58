/**
 * Which block next, from whom: pure bookkeeping over piece indices, without sockets, buffers or clocks.
 *
 * A piece that somebody is fetching is an assembly. One requester opens it and is given its blocks first, so that a
 * piece that fails its hash usually has one author, and pieces become whole, and fit to be passed on, one after the
 * other. Others join in when there is nothing left to open. When every missing block is asked for and few are left, the
 * endgame asks a second requester too.
 */
import { Assemblies, type Assembly, hasPartIn, isWhole, type OpenBlock } from "./assemblies.ts";
import type { Bitfield } from "./bitfield.ts";
import { blockBytes } from "./limits.ts";
import type { PieceSet } from "./locality.ts";
import { UnopenedPieces } from "./unopened-pieces.ts";
import type { Block } from "./wire.ts";

/** How many requesters one block is asked of in the endgame. */
const requestersPerBlockMax = 3;

/** Blocks of the endgame given out at once: each may turn out to be sent twice. */
const endgameBlocksMax = 4;

/**
 * Blocks to come with which it begins. In a crowd each node has some hundred under way by the time that all are asked for:
 * to ask for them twice only takes others' time. What is late until then is hedged.
 */
const endgameToComeMax = 16;

export interface ReceivedBlock<Requester> {
  /** Of whom else the block is asked: they need not send it any more. */
  others: Requester[];
  /** Set if this was the piece's last block: who sent each block, in order. */
  authors: Requester[] | undefined;
}

/** Pieces that a requester wishes to be asked for, in its order; nothing but them if `exclusively`. */
export interface Wishes {
  pieces: readonly number[];
  exclusively: boolean;
}

const noWishes: Wishes = { pieces: [], exclusively: false };

export interface PickerOptions {
  pieceCount: number;
  /** Length of a piece in bytes. */
  pieceBytes: (index: number) => number;
  /** Pieces that are here; the picker reads it and never writes it. */
  have: Bitfield;
  /** Uniform in [0, 1). */
  random: () => number;
}

export class Picker<Requester extends object> {
  /** How many connected peers have each piece. */
  readonly #availability: Uint32Array;
  /** Pieces neither here nor being assembled. */
  readonly #unopened: UnopenedPieces;
  readonly #assemblies: Assemblies<Requester>;
  /** Pieces to be fetched from one requester alone. */
  readonly #exclusive = new Set<number>();

  constructor(options: PickerOptions) {
    this.#assemblies = new Assemblies(options.pieceBytes);
    this.#availability = new Uint32Array(options.pieceCount);
    this.#unopened = new UnopenedPieces(options.pieceCount, options.random);
    for (let index = 0; index < options.pieceCount; index++) if (!options.have.has(index)) this.#unopened.add(index);
  }

  /** Pieces being assembled. */
  get assemblies(): number {
    return this.#assemblies.count;
  }

  /** Whether the piece is being assembled. */
  isAssembling(index: number): boolean {
    return this.#assemblies.get(index) !== undefined;
  }

  /** Whether nobody has begun with the piece, and it is not here. */
  isUnopened(index: number): boolean {
    return this.#unopened.has(index);
  }

  /** Whether every block that is not here is asked of somebody. */
  get isEndgame(): boolean {
    return this.#unopened.count === 0 && this.#assemblies.open.size === 0;
  }

  /** Pieces not here of which no peer has said that it has them. */
  get lacking(): number {
    let count = 0;
    for (const index of this.#unopened) if (this.#availability[index] === 0) count++;
    for (const { index } of this.#assemblies) if (this.#availability[index] === 0) count++;
    return count;
  }

  /** How many connected peers have a piece. */
  holdersOf(index: number): number {
    return this.#availability[index]!;
  }

  /** A peer that has these pieces is gone. */
  removePeer(has: Bitfield): void {
    for (let index = 0; index < has.size; index++) if (has.has(index)) this.#availability[index]!--;
  }

  /** A peer got one more piece. */
  addPiece(index: number): void {
    this.#availability[index]!++;
  }

  /** A peer turned out not to have a piece that it said it had. */
  removePiece(index: number): void {
    this.#availability[index]!--;
  }

  /**
   * Up to `count` blocks to ask of a requester, of those of the pieces `has`. New pieces are opened only while `mayOpen`
   * allows: their buffers take memory. A requester that is `idle` is given blocks of the endgame too. Of those not open,
   * the pieces that the requester wishes to be asked for come first or, if `exclusively`, alone.
   */
  pick(
    requester: Requester,
    has: PieceSet,
    count: number,
    mayOpen: (index: number) => boolean,
    idle: boolean,
    wishes: Wishes = noWishes,
  ): Block[] {
    const blocks: Block[] = [];
    for (const assembly of this.#assemblies.openOf(requester)) {
      if (blocks.length >= count) return blocks;
      this.#assemblies.takeMissing(assembly, requester, count, blocks);
    }
    for (const assembly of this.#assemblies.orphans) {
      if (blocks.length >= count) return blocks;
      if (!has.has(assembly.index)) continue;
      this.#assemblies.setOwner(assembly, requester);
      this.#assemblies.takeMissing(assembly, requester, count, blocks);
    }
    for (const index of wishes.pieces) {
      if (blocks.length >= count || !mayOpen(index)) return blocks;
      if (!this.#unopened.has(index) || !has.has(index)) continue;
      this.#assemblies.takeMissing(this.#openPiece(index, requester), requester, count, blocks);
    }
    // Once every piece is begun, whoever can end one sooner may help.
    if (wishes.exclusively && this.#unopened.count > 0) return blocks;
    while (blocks.length < count) {
      const index = this.#unopened.rarest(has, this.#availability);
      if (index === undefined || !mayOpen(index)) break;
      this.#assemblies.takeMissing(this.#openPiece(index, requester), requester, count, blocks);
    }
    for (const assembly of this.#assemblies.open) {
      if (blocks.length >= count) return blocks;
      if (has.has(assembly.index) && !assembly.exclusive)
        this.#assemblies.takeMissing(assembly, requester, count, blocks);
    }
    if (idle && blocks.length === 0 && this.isEndgame && this.#assemblies.isToComeWithin(endgameToComeMax)) {
      const more = Math.min(count, endgameBlocksMax);
      for (const assembly of this.#assemblies) {
        if (!has.has(assembly.index) || assembly.exclusive) continue;
        this.#assemblies.takeRequested(assembly, requester, more, requestersPerBlockMax, blocks);
      }
    }
    return blocks;
  }

  /**
   * A whole piece for a requester that has them all, such as an HTTP source: one that nobody has opened, or nobody sends
   * any more; where there is none, the one of which the most is still to come from slower ones. Which of the rarest it is
   * falls at random, so that nodes that all have only that source fetch different ones, and trade them.
   *
   * @param lackingOnly only what no peer has
   */
  pickPiece(requester: Requester, mayOpen: (index: number) => boolean, lackingOnly = false): number | undefined {
    for (const assembly of this.#assemblies.orphans) {
      if (lackingOnly && this.#availability[assembly.index]! > 0) continue;
      this.#assemblies.setOwner(assembly, requester);
      this.#assemblies.takeMissing(assembly, requester, Number.POSITIVE_INFINITY, []);
      return assembly.index;
    }
    const index = this.#unopened.rarest(undefined, this.#availability);
    if (lackingOnly && (index === undefined || this.#availability[index]! > 0)) return undefined;
    if (index !== undefined && mayOpen(index)) {
      this.#assemblies.takeMissing(this.#openPiece(index, requester), requester, Number.POSITIVE_INFINITY, []);
      return index;
    }
    const slowest = this.#leastReceived(requester);
    if (!slowest) return undefined;
    this.#assemblies.takeRequested(slowest, requester, Number.POSITIVE_INFINITY, requestersPerBlockMax, []);
    this.#assemblies.takeMissing(slowest, requester, Number.POSITIVE_INFINITY, []);
    return slowest.index;
  }

  /** The unfinished assembly with the most blocks to come, of those that the requester has no part in. */
  #leastReceived(requester: Requester): Assembly<Requester> | undefined {
    let best: Assembly<Requester> | undefined;
    let bestToCome = 0;
    for (const assembly of this.#assemblies) {
      const toCome = assembly.states.length - assembly.receivedBlocks;
      if (toCome <= bestToCome || hasPartIn(requester, assembly)) continue;
      best = assembly;
      bestToCome = toCome;
    }
    return best;
  }

  /** Blocks of a late piece, asked of fewer than `requestersMax`, to be asked of this requester too. */
  hedge(requester: Requester, index: number, count: number, requestersMax: number): Block[] {
    const blocks: Block[] = [];
    const assembly = this.#assemblies.get(index);
    if (assembly && !assembly.exclusive) {
      this.#assemblies.takeRequested(assembly, requester, count, requestersMax, blocks);
    }
    return blocks;
  }

  /**
   * The blocks of a piece that are not here, for a choice of one's own: it is opened, if nobody has, for nobody in
   * particular. None of a piece that must come from one requester and has one.
   */
  openBlocksOf(index: number): OpenBlock<Requester>[] {
    if (this.#unopened.has(index)) this.#openPiece(index, undefined);
    const assembly = this.#assemblies.get(index);
    if (!assembly || (assembly.exclusive && assembly.owner !== undefined)) return [];
    return this.#assemblies.blocksToCome(assembly);
  }

  /** Whether all of a piece must come from one requester. */
  isExclusive(index: number): boolean {
    return this.#assemblies.get(index)?.exclusive ?? this.#exclusive.has(index);
  }

  /** Whether anybody is asked for a block. */
  isAsked({ index, begin }: Block): boolean {
    return (this.#assemblies.get(index)?.requesters[begin / blockBytes]?.length ?? 0) > 0;
  }

  /** The block is asked of this requester, too. */
  assign(requester: Requester, { index, begin }: Block): void {
    this.#assemblies.assign(this.#assemblies.at(index), requester, begin);
  }

  /** Up to `count` blocks that nobody is asked for of these pieces, in their order, whoever else has a part in them. */
  pickOf(
    requester: Requester,
    has: PieceSet,
    count: number,
    mayOpen: (index: number) => boolean,
    pieces: Iterable<number>,
  ): Block[] {
    const blocks: Block[] = [];
    for (const index of pieces) {
      if (blocks.length >= count) break;
      if (!has.has(index)) continue;
      const isNew = this.#unopened.has(index);
      if (isNew && !mayOpen(index)) break;
      const assembly = isNew ? this.#openPiece(index, requester) : this.#assemblies.get(index);
      const mayTake = assembly && (!assembly.exclusive || assembly.owner === requester);
      if (mayTake) this.#assemblies.takeMissing(assembly, requester, count, blocks);
    }
    return blocks;
  }

  /** All that is missing of a piece, whoever is asked for it; false if it is not wanted, or asked of this requester. */
  takeWhole(requester: Requester, index: number): boolean {
    const assembly = this.#unopened.has(index) ? this.#openPiece(index, requester) : this.#assemblies.get(index);
    if (!assembly || isWhole(assembly) || hasPartIn(requester, assembly)) return false;
    const everything = Number.POSITIVE_INFINITY;
    this.#assemblies.takeRequested(assembly, requester, everything, everything, []);
    this.#assemblies.takeMissing(assembly, requester, everything, []);
    return true;
  }

  /** Whether the block's bytes are still wanted from the requester. */
  isWanted(requester: Requester, index: number, begin: number): boolean {
    const assembly = this.#assemblies.get(index);
    if (!assembly || !this.#assemblies.isToCome(assembly, begin)) return false;
    return !assembly.exclusive || assembly.owner === requester;
  }

  /** A wanted block is here. */
  receive(requester: Requester, index: number, begin: number): ReceivedBlock<Requester> {
    const assembly = this.#assemblies.at(index);
    const others = this.#assemblies.receive(assembly, requester, begin);
    return { others, authors: isWhole(assembly) ? (assembly.authors as Requester[]) : undefined };
  }

  /**
   * All of a piece is here at once, from one requester, whatever others sent of it: who need not send which block any
   * more. Undefined if the piece is not wanted: it is here, or being written.
   */
  receiveWhole(requester: Requester, index: number): { block: Block; others: Requester[] }[] | undefined {
    const assembly = this.#assemblies.get(index);
    return assembly && !isWhole(assembly) ? this.#assemblies.receiveWhole(assembly, requester) : undefined;
  }

  /** The requester will not send the block: time ran out, it refused, or it went away. */
  release(requester: Requester, index: number, begin: number): void {
    const assembly = this.#assemblies.get(index);
    if (assembly) this.#assemblies.release(assembly, requester, begin);
  }

  /** The requester will send nothing more of a piece or, if it is gone, of any. */
  forget(requester: Requester, index?: number): void {
    for (const assembly of this.#assemblies) {
      if (index === undefined || assembly.index === index) this.#assemblies.forget(assembly, requester);
    }
  }

  /** The piece is here, verified and on disk; `have` says so already. */
  finish(index: number): void {
    this.#assemblies.end(index);
    this.#exclusive.delete(index);
  }

  /**
   * The piece was assembled and failed: it is to be fetched anew, from one requester alone if several had a part in it,
   * so that the next time tells who is at fault.
   */
  reset(index: number, exclusive: boolean): void {
    this.#assemblies.end(index);
    if (exclusive) this.#exclusive.add(index);
    this.#unopened.add(index);
  }

  #openPiece(index: number, owner: Requester | undefined): Assembly<Requester> {
    this.#unopened.remove(index);
    return this.#assemblies.begin(index, owner, this.#exclusive.has(index));
  }
}
