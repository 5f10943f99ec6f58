/**
 * What somebody waits for, and what will probably be next: what a torrent is to bring before everything else.
 *
 *     now      pieces that reads wait for: asked for at once, whatever the bounds of memory and queues say
 *     ahead    pieces that will be read soon: before all others, within the bounds
 *     order    pieces in the order of a boot: the next few of them before the rarest, the rarest of those first
 *
 * A request that a peer has cannot be called back: what it answers with is in its socket by then. So that a demand does not
 * wait behind others, little else is asked for at a time while there are demands, and for a while after.
 */

import { type DemandedBlock, type DemandStep, planDemand } from "./demand-plan.ts";
import { demandBytesMax, demandedPiecesMax } from "./limits.ts";
import type { PieceSet } from "./locality.ts";
import type { Peer } from "./peer.ts";
import type { Picker, Wishes } from "./picker.ts";
import type { RoomBound } from "./request-room.ts";
import type { Requester } from "./source-feed.ts";
import type { Clock, PieceSource } from "./types.ts";

/** Pieces by number, the most urgent first. */
export interface Want {
  /** What reads wait for. */
  now: readonly number[];
  /** What will probably be read next. */
  ahead: readonly number[];
}

/** How long after a demand the next one is reckoned with. */
const calmMs = 5_000;
/**
 * What may be asked of all peers together beside the demands, for so long: what comes in the time that an answer takes on
 * its way, and a little more, and some blocks by the number of peers. Each demand waits behind it. Less would leave links
 * idle, and get a node little of what a crowd trades.
 */
const calmSeconds = 0.01;
const calmAnswerSecondsMax = 0.2;
const calmBlocksMin = 2;
const calmBlocksPerPeer = 2;
const calmBlocksMax = 12;
/** Of a boot's order, as many of the next pieces are looked at as come to this: nodes that boot together trade those. */
const orderWindowBytes = 4 * 1024 * 1024;
const orderWindowPiecesMin = 4;

/** The part of a source's patience that it has with a piece that no peer has: one may be about to connect. */
const lackingPatienceShare = 0.25;

/** When anything was last waited for on this node, over all of its torrents: they share its links. */
export interface LastDemand {
  atMs: number;
}

export interface DemandOptions {
  /** Shared by all torrents of the node. */
  last: LastDemand;
  pieceCount: number;
  pieceLengthBytes: number;
  /** The pieces that are here. */
  have: PieceSet;
  /** Peers past their handshake. */
  peers: ReadonlySet<Peer>;
  clock: Clock;
  /** Uniform in [0, 1). */
  random: () => number;
}

export class Demand {
  readonly #options: DemandOptions;
  /** Since when each piece is waited for, in order of urgency. */
  #now = new Map<number, number>();
  #ahead: number[] = [];
  #order: readonly number[] = [];
  /** Up to here nothing of the order is missing. */
  #orderAt = 0;
  /** When the blocks that were asked for are late, by piece and by where they begin. */
  readonly #dueAtMs = new Map<number, Map<number, number>>();

  constructor(options: DemandOptions) {
    this.#options = options;
  }

  /** What is waited for from now on; what is here is passed over. */
  want({ now, ahead }: Want): void {
    const { have, pieceCount, pieceLengthBytes, clock } = this.#options;
    const nowMs = clock.now();
    const isMissing = (index: number) => index >= 0 && index < pieceCount && !have.has(index);
    const wanted = [...new Set(now)].filter(isMissing);
    const count = Math.min(Math.max(1, Math.floor(demandBytesMax / pieceLengthBytes)), demandedPiecesMax);
    const before = this.#now;
    this.#now = new Map(wanted.slice(0, count).map((index) => [index, before.get(index) ?? nowMs]));
    const later = [...wanted.slice(count), ...ahead].slice(0, demandedPiecesMax);
    this.#ahead = [...new Set(later)].filter((index) => isMissing(index) && !this.#now.has(index));
    if (wanted.length + this.#ahead.length > 0) this.#options.last.atMs = nowMs;
    for (const index of this.#dueAtMs.keys()) if (!this.#now.has(index)) this.#dueAtMs.delete(index);
  }

  /** The order in which pieces are to come if nothing else decides. */
  setOrder(pieces: readonly number[]): void {
    const { pieceCount } = this.#options;
    this.#order = [...new Set(pieces)].filter((index) => index >= 0 && index < pieceCount);
    this.#orderAt = 0;
  }

  /** Whether somebody waits for a piece. */
  isDemanded(index: number): boolean {
    return this.#now.has(index);
  }

  /** Whether anything is waited for. */
  get isWaiting(): boolean {
    return this.#now.size > 0;
  }

  /** How long the longest read has waited; 0 if none does. */
  waitedMs(nowMs: number): number {
    return nowMs - Math.min(nowMs, ...this.#now.values());
  }

  /** A piece is here. */
  arrived(index: number): void {
    this.#now.delete(index);
    this.#dueAtMs.delete(index);
    const at = this.#ahead.indexOf(index);
    if (at >= 0) this.#ahead.splice(at, 1);
  }

  /** What may be asked of all peers together, if that is less than usual. */
  room(nowMs: number): RoomBound | undefined {
    if (nowMs - this.#options.last.atMs >= calmMs) return undefined;
    const blocks = Math.min(calmBlocksMin + calmBlocksPerPeer * this.#options.peers.size, calmBlocksMax);
    return { blocks, seconds: calmSeconds + this.#answerSeconds(), idleBlocks: 0 };
  }

  /** How long an answer is on its way, of most peers. */
  #answerSeconds(): number {
    const answersMs = [...this.#options.peers].map(({ requests }) => requests.answerMsMin).filter(Number.isFinite);
    const medianMs = answersMs.sort((a, b) => a - b)[answersMs.length >> 1] ?? 0;
    return Math.min(medianMs / 1_000, calmAnswerSecondsMax);
  }

  /** Pieces to ask a peer for before others: what will be read next, and what is waited for but must come from one peer. */
  ahead(picker: Picker<Requester>): readonly number[] {
    const alone = [...this.#now.keys()].filter((index) => picker.isExclusive(index));
    return alone.length === 0 ? this.#ahead : [...alone, ...this.#ahead];
  }

  /** What a peer is to be asked for before the rarest: what a boot reads next, then what the peer suggests. */
  wishes(
    picker: Pick<Picker<Requester>, "isUnopened" | "holdersOf">,
    has: PieceSet,
    suggested: readonly number[],
    exclusively: boolean,
  ): Wishes {
    if (this.#order.length === 0) return { pieces: suggested, exclusively };
    return { pieces: [...this.#nextInOrder(picker, has), ...suggested], exclusively };
  }

  #nextInOrder(picker: Pick<Picker<Requester>, "isUnopened" | "holdersOf">, has: PieceSet): number[] {
    const { have, pieceLengthBytes, random } = this.#options;
    const order = this.#order;
    while (this.#orderAt < order.length && have.has(order[this.#orderAt]!)) this.#orderAt++;
    const count = Math.max(orderWindowPiecesMin, Math.floor(orderWindowBytes / pieceLengthBytes));
    const next: number[] = [];
    for (let at = this.#orderAt; at < order.length && next.length < count; at++) {
      const index = order[at]!;
      if (picker.isUnopened(index) && has.has(index)) next.push(index);
    }
    if (!this.#isTrading) return next;
    // Nodes that boot together would all fetch the same, of the one that has it: instead each fetches another, and they trade.
    const rarity = new Map(next.map((index) => [index, picker.holdersOf(index) + random()]));
    return next.sort((a, b) => rarity.get(a)! - rarity.get(b)!);
  }

  /** Whether there are others that lack pieces. */
  get #isTrading(): boolean {
    for (const { has } of this.#options.peers) if (has && !has.isFull) return true;
    return false;
  }

  /** What to ask of whom for what is waited for, and by when that should be here. */
  plan(picker: Picker<Requester>, isFar: (peer: Peer) => boolean): DemandStep<Peer>[] {
    const nowMs = this.#options.clock.now();
    this.#options.last.atMs = nowMs;
    const free = [...this.#options.peers].flatMap((peer) => {
      const { has, choking, closed } = peer;
      if (!has || choking || closed || nowMs < peer.restUntilMs) return [];
      const { live: queuedBlocks, blockMs } = peer.requests;
      const answerMs = peer.requests.answerMs(nowMs);
      return [{ requester: peer, has, queuedBlocks, blockMs, answerMs, isFar: isFar(peer) }];
    });
    if (free.length === 0) return [];
    const blocks: DemandedBlock<Requester>[] = [];
    for (const index of this.#now.keys()) {
      if (picker.isExclusive(index)) continue;
      const dues = this.#dueAtMs.get(index);
      for (const open of picker.openBlocksOf(index)) blocks.push({ ...open, dueAtMs: dues?.get(open.block.begin) });
    }
    const steps = planDemand(blocks, free, nowMs);
    for (const { block, dueAtMs } of steps) {
      const dues = this.#dueAtMs.get(block.index) ?? new Map<number, number>();
      this.#dueAtMs.set(block.index, dues.set(block.begin, dueAtMs));
    }
    return steps;
  }

  /** In how many milliseconds the next block is late; undefined if none was asked for. */
  nextDueMs(nowMs: number): number | undefined {
    let next: number | undefined;
    for (const dues of this.#dueAtMs.values()) {
      for (const dueAtMs of dues.values()) if (dueAtMs > nowMs && dueAtMs < (next ?? Infinity)) next = dueAtMs;
    }
    return next === undefined ? undefined : next - nowMs;
  }

  /** A piece that is waited for, for a source that reads whole pieces and has had its patience. */
  forSource(picker: Picker<Requester>, requester: Requester, source: PieceSource): number | undefined {
    const nowMs = this.#options.clock.now();
    const patienceMs = source.wantedAfterMs ?? 0;
    for (const [index, sinceMs] of this.#now) {
      const share = picker.holdersOf(index) > 0 ? 1 : lackingPatienceShare;
      if (nowMs - sinceMs < patienceMs * share) continue;
      if (picker.takeWhole(requester, index)) return index;
    }
    return undefined;
  }
}
