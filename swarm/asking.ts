/** What we ask of peers, and when. */
import type { Want } from "./demand.ts";
import { DemandRequests } from "./demand-requests.ts";
import type { Helper } from "./hedge.ts";
import { blockBytes, requestAgeMsMax, suggestedMax } from "./limits.ts";
import type { Locality } from "./locality.ts";
import type { Peer } from "./peer.ts";
import type { PieceWork } from "./piece-work.ts";
import type { Clock, Pace } from "./types.ts";
import type { Block } from "./wire.ts";

/** Requests are sent in groups: once this part of a peer's queue has room. */
const refillShare = 4;
/** A peer that refuses a request while it serves us is left alone for a moment. */
const restAfterRejectMs = 500;
/** A peer that did not answer in time gets its second chance after this, while others do its work. */
const restAfterSilenceMs = 5_000;
/** How long a peer that suggests pieces is asked for nothing else while it has nothing more to suggest. */
const suggestionPatienceMs = 3_000;
/** After this a peer does not suggest any more. */
const suggestionMsMax = 10_000;

export interface AskingOptions {
  work: PieceWork;
  clock: Clock;
  /** Peers past their handshake. */
  peers: ReadonlySet<Peer>;
  /** Where the node is in a zone: what to ask of other zones. */
  locality: Locality<Peer> | undefined;
  /** Whether late pieces are asked of others, too; a simulation shows what it would be like without. */
  hedging?: boolean | undefined;
  /** How fast peers may be asked; what somebody waits for, or soon will, is not held back. */
  paces?: readonly Pace[] | undefined;
  /** Blocks of a late piece are asked of one more peer. */
  onHedged: (blocks: number) => void;
}

export class Asking {
  readonly #options: AskingOptions;
  readonly #work: PieceWork;
  readonly #demandRequests: DemandRequests;
  /** Peers that there was nothing to ask for when last looked at. */
  readonly #spare = new Set<Peer>();
  /** Peers that have just told of something that we might ask for. */
  readonly #promising = new Set<Peer>();

  constructor(options: AskingOptions) {
    const { work, clock, locality, onHedged } = options;
    this.#options = options;
    this.#work = work;
    this.#demandRequests = new DemandRequests({
      ...{ demand: work.demand, clock, onHedged },
      picker: () => work.picker,
      isFar: (peer) => locality?.isFar(peer) ?? false,
      makeRoom: (index) => work.open(index),
      onAsked: (blocks) => work.room.take(blocks),
    });
  }

  stop(): void {
    this.#demandRequests.stop();
  }

  /** What reads wait for from now on, and will wait for next. */
  want(want: Want): void {
    this.#demandRequests.want(want);
  }

  /** Looks at all that may be asked for by now; to be called a few times a second. */
  tick(): void {
    this.#demandRequests.ask();
    this.requestFromAll();
    this.#hedge();
  }

  requestFromAll(): void {
    this.#work.buffers.isShort = false;
    for (const peer of this.#options.peers) this.requestFrom(peer);
  }

  /** At the end of the turn: haves and suggestions come many at a time. */
  requestSoon(peer: Peer): void {
    this.#promising.add(peer);
    if (this.#promising.size > 1) return;
    queueMicrotask(() => {
      const peers = [...this.#promising];
      this.#promising.clear();
      for (const each of peers) this.requestFrom(each);
    });
  }

  requestFrom(peer: Peer): void {
    const { picker, buffers, demand } = this.#work;
    if (!picker || !peer.has || peer.choking || !peer.amInterested || peer.closed) return;
    const nowMs = this.#options.clock.now();
    if (nowMs < peer.restUntilMs) return;
    this.#demandRequests.askSoon();
    const depth = peer.requests.depth(nowMs);
    const bound = demand.room(nowMs);
    // What a peer suggests is what it deems rare: that is asked for in any case.
    const isUnbound = peer.suggested.length > 0 && !bound;
    const left = isUnbound ? Number.POSITIVE_INFINITY : this.#work.room.leftFor(peer, nowMs, bound);
    const free = Math.min(depth - peer.requestsLive, left);
    const group = Math.min(depth / refillShare, peer.requestsLive);
    if (free <= 0 || free < group) return;
    const has = this.#options.locality?.piecesOf(peer, nowMs) ?? peer.has;
    const { mayOpen } = buffers;
    const blocks = picker.pickOf(peer, has, free, mayOpen, demand.ahead(picker));
    const wanted = free - blocks.length;
    const room = Math.min(wanted, this.#pacedBlocks());
    if (room > 0 && room >= Math.min(group, wanted)) {
      const wishes = demand.wishes(picker, has, peer.suggested, this.#isHeldBack(peer, nowMs));
      const isIdle = peer.requestsLive + blocks.length === 0;
      const picked = picker.pick(peer, has, room, mayOpen, isIdle, wishes);
      for (const pace of this.#options.paces ?? []) pace.took(picked.length * blockBytes);
      blocks.push(...picked);
    } else if (blocks.length === 0) {
      return;
    }
    if (peer.suggested.length > 0) peer.suggested = peer.suggested.filter((index) => picker.isUnopened(index));
    for (const { index } of blocks) this.#work.open(index);
    if (blocks.length === 0) this.#spare.add(peer);
    else this.#spare.delete(peer);
    peer.request(blocks);
    this.#work.room.take(blocks.length);
  }

  /** A peer suggests a piece that is missing. */
  suggested(peer: Peer, index: number): void {
    if (peer.suggested.length >= suggestedMax) return;
    peer.suggested.push(index);
    peer.suggestedAtMs = this.#options.clock.now();
    this.requestSoon(peer);
  }

  rejected(peer: Peer, block: Block): void {
    const nowMs = this.#options.clock.now();
    if (!peer.requests.settle(block.index, block.begin, nowMs)) return;
    this.#work.picker?.release(peer, block.index, block.begin);
    if (!peer.choking) peer.restUntilMs = nowMs + restAfterRejectMs;
  }

  /** A peer that has not answered in time: others are asked for what it was asked for. */
  overdue(peer: Peer, nowMs: number): void {
    this.release(peer);
    peer.restUntilMs = nowMs + restAfterSilenceMs;
  }

  /** A request that is still open while the peer answers others goes to somebody else in the end. */
  releaseStale(peer: Peer, nowMs: number): void {
    this.release(peer, nowMs - requestAgeMsMax);
  }

  release(peer: Peer, sentBeforeMs?: number): void {
    for (const { index, begin } of peer.requests.release(sentBeforeMs)) this.#work.picker?.release(peer, index, begin);
  }

  /** The peer is gone. */
  forget(peer: Peer): void {
    this.#spare.delete(peer);
    peer.requests.release();
    this.#work.picker?.forget(peer);
  }

  /** Blocks that may be asked for which nobody waits for, nor soon will. */
  #pacedBlocks(): number {
    const { paces = [] } = this.#options;
    return Math.ceil(Math.min(...paces.map((pace) => pace.roomBytes())) / blockBytes);
  }

  /** Whether the peer is asked only for what it suggests: not one in another zone, of which most of that is not asked. */
  #isHeldBack(peer: Peer, nowMs: number): boolean {
    if (!isSuggesting(peer, nowMs) || this.#options.locality?.isFar(peer)) return false;
    return peer.requestsLive > 0 || nowMs - Math.max(peer.suggestedAtMs, peer.lastBlockAtMs) < suggestionPatienceMs;
  }

  /** Asks one more peer for what is late, of those that there is nothing else to ask for. */
  #hedge(): void {
    const { picker, hedges } = this.#work;
    const nowMs = this.#options.clock.now();
    if (!picker || this.#options.hedging === false || !hedges.isLate(nowMs)) return;
    const helpers: Helper<Peer>[] = [];
    for (const peer of this.#spare) {
      const isFree = peer.amInterested && !peer.choking && !peer.closed && nowMs >= peer.restUntilMs;
      if (!peer.has || !isFree || this.#isHeldBack(peer, nowMs)) continue;
      const has = this.#options.locality?.piecesOf(peer, nowMs) ?? peer.has;
      const queuedBlocks = peer.requestsLive;
      const roomBlocks = peer.requests.depth(nowMs) - queuedBlocks;
      helpers.push({ requester: peer, has, queuedBlocks, roomBlocks, answerMs: peer.requests.answerMs(nowMs) });
    }
    for (const { requester, blocks } of hedges.choose<Peer>(nowMs, helpers, (...asked) => picker.hedge(...asked))) {
      requester.request(blocks);
      this.#options.onHedged(blocks.length);
    }
  }
}

/** Whether the peer has suggested a piece of late. */
export function isSuggesting(peer: Peer, nowMs: number): boolean {
  return nowMs - peer.suggestedAtMs <= suggestionMsMax;
}
