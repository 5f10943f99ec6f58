/**
 * One torrent's traffic in pieces, once its info and storage are there: what to ask of whom, what arrives, what is
 * verified, written and told to others, and what peers are given. Peers and sources (HTTP) are requesters alike.
 */
import type { AssemblyBudget } from "./assembly-budget.ts";
import { Bitfield } from "./bitfield.ts";
import { Deal } from "./deal.ts";
import { Demand, type LastDemand, type Want } from "./demand.ts";
import { DemandRequests } from "./demand-requests.ts";
import { keyOf } from "./endpoint.ts";
import { HaveLog } from "./have-log.ts";
import { Hedges, type Helper } from "./hedge.ts";
import { badPiecesMax, blockBytes, blockBytesMax, requestAgeMsMax, retractionsMax, suggestedMax } from "./limits.ts";
import type { Locality } from "./locality.ts";
import { pieceBytesOf } from "./metainfo.ts";
import type { Peer } from "./peer.ts";
import { Picker } from "./picker.ts";
import { PieceBuffers } from "./piece-buffers.ts";
import { isRareNews, listenersAmong } from "./rare-news.ts";
import { RequestRoom } from "./request-room.ts";
import { type FeedTarget, type Requester, SourceFeed } from "./source-feed.ts";
import { Suspicions } from "./suspicions.ts";
import type { Clock, Pace, PieceSource, PieceStorage, SwarmLog, TorrentInfo } from "./types.ts";
import { type Block, encodeBitfield, encodeSignal } from "./wire.ts";

/** Requests are sent in groups: once this part of a peer's queue has room. */
const refillShare = 4;
/** A peer that refuses a request while it serves us is left alone for a moment. */
const restAfterRejectMs = 500;
/** A peer that did not answer in time gets its second chance after this, while others do its work. */
const restAfterSilenceMs = 5_000;

export interface PieceExchangeOptions {
  info: TorrentInfo;
  storage: PieceStorage;
  clock: Clock;
  random: () => number;
  log: SwarmLog;
  budget: AssemblyBudget;
  lastDemand: LastDemand;
  /** Peers past their handshake. */
  peers: ReadonlySet<Peer>;
  /** Where the node is in a zone: what to ask of other zones. */
  locality: Locality<Peer> | undefined;
  /** The peer lies or breaks the rules: away with it. */
  strike: (peer: Peer, reason: string) => void;
  /** Notes a bad piece of the peer; how many those of its address have sent by now. */
  blame: (peer: Peer) => number;
  /** Blocks came in. */
  onProgress: (bytes: number, from: "peer" | "source") => void;
  /** A piece failed its hash; `from`: who sent parts of it, as addresses and names of sources. */
  onVerifyFailure: (from: string[]) => void;
  /** Payload came that was not needed, or not any more. */
  onWasted: (bytes: number) => void;
  /** Blocks of a late piece are asked of one more peer. */
  onHedged: (blocks: number) => void;
  /** Bytes of a piece came that somebody waits for. */
  onDemanded: (bytes: number, from: "peer" | "source") => void;
  /** Whether late pieces are asked of others, too; a simulation shows what it would be like without. */
  hedging?: boolean | undefined;
  /** How fast peers may be asked; what somebody waits for, or soon will, is not held back. */
  paces?: readonly Pace[] | undefined;
  /** A piece was verified and is on disk. */
  onPiece: (index: number) => void;
  /** The disk failed. */
  onFault: (error: Error) => void;
  onSourceError: (source: PieceSource, error: Error) => void;
}

/** How long a peer that suggests pieces is asked for nothing else while it has nothing more to suggest. */
const suggestionPatienceMs = 3_000;
/** After this a peer does not suggest any more. */
const suggestionMsMax = 10_000;

export class PieceExchange implements FeedTarget {
  readonly #options: PieceExchangeOptions;
  readonly #info: TorrentInfo;
  readonly #storage: PieceStorage;
  /** Absent once nothing is missing. */
  #picker: Picker<Requester> | undefined;
  readonly #buffers: PieceBuffers;
  readonly #room: RequestRoom;
  readonly #feeds = new Map<PieceSource, SourceFeed>();
  readonly #writes = new Set<Promise<void>>();
  /** Present once nothing is missing. */
  #deal: Deal<Peer> | undefined;
  readonly #haves = new HaveLog();
  readonly #suspicions = new Suspicions<Requester>();
  readonly #hedges = new Hedges();
  readonly #demand: Demand;
  readonly #demandRequests: DemandRequests;
  /** Peers that there was nothing to ask for when last looked at. */
  readonly #spare = new Set<Peer>();
  /** Peers that have just told of something that we might ask for. */
  readonly #promising = new Set<Peer>();
  #stopped = false;

  constructor(options: PieceExchangeOptions) {
    this.#options = options;
    this.#info = options.info;
    this.#storage = options.storage;
    this.#buffers = new PieceBuffers(options.info, options.budget);
    this.#room = new RequestRoom(options.peers, options.clock.now());
    const { have } = options.storage;
    const { pieceCount, pieceLengthBytes } = options.info;
    const { clock, random, peers, lastDemand: last } = options;
    this.#demand = new Demand({ last, pieceCount, pieceLengthBytes, have, peers, clock, random });
    this.#demandRequests = new DemandRequests({
      ...{ demand: this.#demand, clock },
      picker: () => this.#picker,
      isFar: (peer) => options.locality?.isFar(peer) ?? false,
      makeRoom: (index) => this.#ensureBuffer(index),
      onAsked: (blocks) => this.#room.take(blocks),
      onHedged: options.onHedged,
    });
    if (have.isFull) {
      this.#deal = this.#newDeal();
      return;
    }
    const pieceBytes = (index: number) => pieceBytesOf(options.info, index);
    this.#picker = new Picker({ pieceCount: options.info.pieceCount, pieceBytes, have, random: options.random });
  }

  get isComplete(): boolean {
    return this.#storage.have.isFull;
  }

  /** Pieces not here that no connected peer has. */
  get lackingPieces(): number {
    return this.#picker?.lacking ?? 0;
  }

  /** Stops asking and taking, waits for writes under way, and gives its memory back. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#picker = undefined;
    this.#demandRequests.stop();
    await Promise.all([...this.#feeds.values()].map((feed) => feed.close()));
    await Promise.all(this.#writes);
    this.#buffers.freeAll();
  }

  // --- what a peer has

  /** Tells a new peer what we have, and looks at what it said before we could understand it. */
  greet(peer: Peer): void {
    // What was sent to it just now may have ended the connection.
    if (peer.closed) return;
    const { have } = this.#storage;
    if (peer.fast && have.isFull) peer.send(encodeSignal("haveAll"));
    else if (peer.fast && have.count === 0) peer.send(encodeSignal("haveNone"));
    else if (have.count > 0) peer.send(encodeBitfield(have.bytes));
    peer.tellHavesFrom(this.#haves.reader());
    peer.serveFrom((first, buffers) => {
      const offset = first.index * this.#info.pieceLengthBytes + first.begin;
      return this.#storage.readNow(offset, buffers) ? undefined : this.#storage.read(offset, buffers);
    });
    peer.bitfieldBytesMax = have.bytes.length;
    peer.has = new Bitfield(this.#info.pieceCount);
    this.onPieces(peer, peer.earlyPieces);
    for (const index of peer.earlyHaves) if (!peer.closed) this.onHave(peer, index);
    peer.earlyHaves = [];
  }

  onHave(peer: Peer, index: number): void {
    const has = peer.has as Bitfield;
    if (index >= has.size) {
      this.#options.strike(peer, `it has piece ${index} of ${has.size}`);
      return;
    }
    if (!has.add(index)) return;
    this.#picker?.addPiece(index);
    this.#deal?.addPiece(peer, index);
    if (this.#storage.have.has(index)) {
      this.#closeIfUseless(peer);
      return;
    }
    peer.usefulPieces++;
    peer.setInterested(true);
    this.#requestSoon(peer);
  }

  /** What a peer has, as a whole. */
  onPieces(peer: Peer, pieces: "all" | "none" | Uint8Array): void {
    // Said again, it would cost a look at all pieces.
    if (peer.closed || (pieces === "all" && peer.has?.isFull)) return;
    let has: Bitfield;
    try {
      has = piecesFrom(pieces, this.#info.pieceCount);
    } catch (error) {
      this.#options.strike(peer, (error as Error).message);
      return;
    }
    const changes = (peer.has as Bitfield).changesTo(has);
    if (changes.removed.length > 0 && ++peer.retractions > retractionsMax) {
      this.#options.strike(peer, "it takes back again and again which pieces it has");
      return;
    }
    peer.has = has;
    const { have } = this.#storage;
    for (const index of changes.added) {
      this.#picker?.addPiece(index);
      this.#deal?.addPiece(peer, index);
    }
    for (const index of changes.removed) {
      this.#picker?.removePiece(index);
      this.#deal?.removePiece(index);
    }
    peer.usefulPieces += changes.added.filter((index) => !have.has(index)).length;
    peer.usefulPieces -= changes.removed.filter((index) => !have.has(index)).length;
    if (this.#closeIfUseless(peer)) return;
    peer.setInterested(peer.usefulPieces > 0);
    this.#requestFrom(peer);
  }

  peerLeft(peer: Peer): void {
    this.#spare.delete(peer);
    peer.requests.release();
    this.#picker?.forget(peer);
    if (peer.has) {
      this.#picker?.removePeer(peer.has);
      this.#deal?.remove(peer, peer.has);
    }
    this.requestFromAll();
  }

  /** Two that have everything are of no use to each other. */
  #closeIfUseless(peer: Peer): boolean {
    // Of a torrent without pieces, a peer has all even if it has yet to learn so from us.
    const isUseless = this.isComplete && peer.has?.isFull === true && this.#info.pieceCount > 0;
    if (isUseless) peer.close();
    return isUseless;
  }

  // --- what a peer asks of us

  onRequest(peer: Peer, block: Block): void {
    const fault = this.#requestFault(block);
    if (fault) {
      this.#options.strike(peer, fault);
      return;
    }
    if (peer.amChoking || !this.#storage.have.has(block.index)) {
      peer.refuse([block]);
      return;
    }
    const { index, begin, length } = block;
    const isQueued = peer.queueUpload({ index, begin, length });
    if (!isQueued) {
      this.#options.strike(peer, "it asks for more blocks at once than any client needs");
      return;
    }
    if (!peer.has?.has(index)) this.#deal?.asked(peer, index);
  }

  #newDeal(): Deal<Peer> {
    const { info, clock, random, locality } = this.#options;
    const { pieceCount, pieceLengthBytes } = info;
    // A piece in another zone's hand is long on its way, and is not what near ones trade.
    // Where we say of no zone, one that is in some takes us for far.
    const isFar = (peer: Peer) => locality?.isFar(peer) ?? peer.zone !== undefined;
    return new Deal({ pieceCount, pieceLengthBytes, clock, random, isFar });
  }

  /** Peers that may be served from now on. */
  serve(peers: ReadonlySet<Peer>): void {
    this.#deal?.serve(peers);
  }

  /** Whether the peer is to stay choked for now: it is unchoked with its first suggestion. */
  isWaiting(peer: Peer): boolean {
    return this.#deal?.isWaiting(peer) ?? false;
  }

  #requestFault(block: Block): string | undefined {
    const { pieceCount } = this.#info;
    if (block.index >= pieceCount) return `it asks for piece ${block.index} of ${pieceCount}`;
    if (block.length === 0 || block.length > blockBytesMax) return `it asks for a block of ${block.length} bytes`;
    if (block.begin + block.length > pieceBytesOf(this.#info, block.index)) return "it asks beyond a piece's end";
    return undefined;
  }

  // --- what somebody waits for

  /** What reads wait for from now on, and will wait for next. */
  want(want: Want): void {
    if (!this.#picker) return;
    this.#demandRequests.want(want);
    for (const feed of this.#feeds.values()) feed.wake();
    this.requestFromAll();
  }

  /** The order in which pieces are to come where nothing else decides. */
  setOrder(pieces: readonly number[]): void {
    this.#demand.setOrder(pieces);
  }

  /** How long the longest demand has waited. */
  get demandWaitedMs(): number {
    return this.#demand.waitedMs(this.#options.clock.now());
  }

  // --- what we ask of peers

  tick(): void {
    this.#deal?.tick();
    this.#demandRequests.ask();
    this.requestFromAll();
    this.#hedge();
    for (const peer of this.#options.peers) peer.tellAll();
  }

  onSuggest(peer: Peer, index: number): void {
    if (index >= this.#info.pieceCount) {
      this.#options.strike(peer, `it suggests piece ${index} of ${this.#info.pieceCount}`);
      return;
    }
    if (!this.#picker || this.#storage.have.has(index) || peer.suggested.length >= suggestedMax) return;
    peer.suggested.push(index);
    peer.suggestedAtMs = this.#options.clock.now();
    this.#requestSoon(peer);
  }

  onUnchoke(peer: Peer): void {
    this.#requestFrom(peer);
  }

  onChoke(peer: Peer): void {
    this.releaseRequests(peer);
    this.requestFromAll();
  }

  onReject(peer: Peer, block: Block): void {
    if (!peer.requests.settle(block.index, block.begin, this.#options.clock.now())) return;
    this.#picker?.release(peer, block.index, block.begin);
    if (!peer.choking) peer.restUntilMs = this.#options.clock.now() + restAfterRejectMs;
  }

  /** A peer that has not answered in time: others are asked for what it was asked for. */
  onOverdue(peer: Peer, nowMs: number): void {
    this.releaseRequests(peer);
    peer.restUntilMs = nowMs + restAfterSilenceMs;
  }

  /** A request that is still open while the peer answers others goes to somebody else in the end. */
  releaseStale(peer: Peer, nowMs: number): void {
    this.releaseRequests(peer, nowMs - requestAgeMsMax);
  }

  releaseRequests(peer: Peer, sentBeforeMs?: number): void {
    for (const { index, begin } of peer.requests.release(sentBeforeMs)) this.#picker?.release(peer, index, begin);
  }

  requestFromAll(): void {
    this.#buffers.isShort = false;
    for (const peer of this.#options.peers) this.#requestFrom(peer);
  }

  /** At the end of the turn: haves and suggestions come many at a time. */
  #requestSoon(peer: Peer): void {
    this.#promising.add(peer);
    if (this.#promising.size > 1) return;
    queueMicrotask(() => {
      const peers = [...this.#promising];
      this.#promising.clear();
      for (const each of peers) this.#requestFrom(each);
    });
  }

  #requestFrom(peer: Peer): void {
    const picker = this.#picker;
    if (!picker || !peer.has || peer.choking || !peer.amInterested || peer.closed) return;
    const nowMs = this.#options.clock.now();
    if (nowMs < peer.restUntilMs) return;
    this.#demandRequests.askSoon();
    const depth = peer.requests.depth(nowMs);
    const bound = this.#demand.room(nowMs);
    // What a peer suggests is what it deems rare: that is asked for in any case.
    const isUnbound = peer.suggested.length > 0 && !bound;
    const left = isUnbound ? Number.POSITIVE_INFINITY : this.#room.leftFor(peer, nowMs, bound);
    const free = Math.min(depth - peer.requestsLive, left);
    const group = Math.min(depth / refillShare, peer.requestsLive);
    if (free <= 0 || free < group) return;
    const has = this.#options.locality?.piecesOf(peer, nowMs) ?? peer.has;
    const { mayOpen } = this.#buffers;
    const blocks = picker.pickOf(peer, has, free, mayOpen, this.#demand.ahead(picker));
    const wanted = free - blocks.length;
    const room = Math.min(wanted, this.#pacedBlocks());
    if (room > 0 && room >= Math.min(group, wanted)) {
      const wishes = this.#demand.wishes(picker, has, peer.suggested, this.#isHeldBack(peer, nowMs));
      const isIdle = peer.requestsLive + blocks.length === 0;
      const picked = picker.pick(peer, has, room, mayOpen, isIdle, wishes);
      for (const pace of this.#options.paces ?? []) pace.took(picked.length * blockBytes);
      blocks.push(...picked);
    } else if (blocks.length === 0) {
      return;
    }
    if (peer.suggested.length > 0) peer.suggested = peer.suggested.filter((index) => picker.isUnopened(index));
    for (const { index } of blocks) this.#ensureBuffer(index);
    if (blocks.length === 0) this.#spare.add(peer);
    else this.#spare.delete(peer);
    peer.request(blocks);
    this.#room.take(blocks.length);
  }

  /** Blocks that may be asked for which nobody waits for, nor soon will. */
  #pacedBlocks(): number {
    const { paces = [] } = this.#options;
    return Math.ceil(Math.min(...paces.map((pace) => pace.roomBytes())) / blockBytes);
  }

  /** Whether the peer is asked only for what it suggests: not one in another zone, of which most of that is not asked. */
  #isHeldBack(peer: Peer, nowMs: number): boolean {
    if (nowMs - peer.suggestedAtMs > suggestionMsMax || this.#options.locality?.isFar(peer)) return false;
    return peer.requestsLive > 0 || nowMs - Math.max(peer.suggestedAtMs, peer.lastBlockAtMs) < suggestionPatienceMs;
  }

  /** Asks one more peer for what is late, of those that there is nothing else to ask for. */
  #hedge(): void {
    const nowMs = this.#options.clock.now();
    const picker = this.#picker;
    if (!picker || this.#options.hedging === false || !this.#hedges.isLate(nowMs)) return;
    const helpers: Helper<Peer>[] = [];
    for (const peer of this.#spare) {
      const isFree = peer.amInterested && !peer.choking && !peer.closed && nowMs >= peer.restUntilMs;
      if (!peer.has || !isFree || this.#isHeldBack(peer, nowMs)) continue;
      const has = this.#options.locality?.piecesOf(peer, nowMs) ?? peer.has;
      const queuedBlocks = peer.requestsLive;
      const roomBlocks = peer.requests.depth(nowMs) - queuedBlocks;
      helpers.push({ requester: peer, has, queuedBlocks, roomBlocks, answerMs: peer.requests.answerMs(nowMs) });
    }
    const hedges = this.#hedges.choose<Peer>(nowMs, helpers, (...asked) => picker.hedge(...asked));
    for (const { requester, blocks } of hedges) {
      requester.request(blocks);
      this.#options.onHedged(blocks.length);
    }
  }

  #ensureBuffer(index: number): void {
    if (this.#buffers.has(index)) return;
    this.#hedges.begin(index, this.#options.clock.now());
    this.#buffers.open(index);
  }

  #freeBuffer(index: number): void {
    this.#hedges.drop(index);
    this.#buffers.free(index);
  }

  // --- what arrives

  /** Where an arriving block's bytes go; undefined if nobody asked for it or it is here already. */
  onBlockStart(peer: Peer, block: Block): Uint8Array | undefined {
    const { index, begin, length } = block;
    if (!peer.requests.isAsked(index, begin, length) || !this.#picker?.isWanted(peer, index, begin)) return undefined;
    return this.#buffers.targetFor(peer, block);
  }

  onBlockEnd(peer: Peer, block: Block, kept: boolean): void {
    const { index, begin, length } = block;
    if (!peer.requests.isAsked(index, begin, length)) {
      this.#options.onWasted(length);
      if (!peer.noteUnasked(length)) this.#options.strike(peer, "it sends what nobody asked for");
      return;
    }
    const nowMs = this.#options.clock.now();
    peer.requests.settle(index, begin, nowMs);
    peer.requests.arrived(length, nowMs);
    this.#room.arrived(length, nowMs);
    this.#options.onProgress(length, "peer");
    if (kept && this.#picker?.isWanted(peer, index, begin)) this.#take(peer, block);
    else {
      this.#options.onWasted(length);
      this.#picker?.release(peer, index, begin);
    }
    this.#requestFrom(peer);
  }

  #take(peer: Peer, block: Block): void {
    const { index, begin } = block;
    this.#buffers.takeAside(peer, block);
    if (this.#demand.isDemanded(index)) this.#options.onDemanded(block.length, "peer");
    this.#hedges.countReceived();
    const { others, authors } = (this.#picker as Picker<Requester>).receive(peer, index, begin);
    this.#settleBlock(block, others, peer);
    if (!authors) return;
    this.#hedges.done(index, this.#options.clock.now());
    const piece = this.#buffers.get(index) as Buffer;
    if (this.#storage.verify(index, piece)) {
      this.#keepWaitingFor(this.#write(index, piece, authors));
      return;
    }
    this.#dropBadPiece(index, piece, authors);
    this.requestFromAll();
  }

  /** A block is here: whoever else was to send it need not, and whoever is sending it writes nowhere any more. */
  #settleBlock(block: Block, others: readonly Requester[], from: Requester): void {
    for (const other of others) if (!(other instanceof SourceFeed)) other.cancel(block);
    this.#buffers.settle(block, from);
  }

  /** Writes a verified piece. */
  async #write(index: number, piece: Buffer, authors: readonly Requester[]): Promise<void> {
    for (const peer of this.#suspicions.clear(index, piece)) {
      if (!(peer instanceof SourceFeed)) this.#options.strike(peer, "blocks that it sent were not the piece's");
    }
    await this.#storage.write(index, piece);
    this.#onWritten(index, authors);
  }

  /** What the disk is at work on must end before the torrent does. */
  #keepWaitingFor(work: Promise<void>): void {
    const waiting: Promise<void> = work
      .catch((error: Error) => this.#options.onFault(error))
      .finally(() => this.#writes.delete(waiting));
    this.#writes.add(waiting);
  }

  #onWritten(index: number, authors: readonly Requester[]): void {
    this.#freeBuffer(index);
    this.#picker?.finish(index);
    const wasDemanded = this.#demand.isDemanded(index);
    this.#demand.arrived(index);
    if (this.#stopped) return;
    for (const peer of this.#options.peers) {
      if (peer.has?.has(index) && --peer.usefulPieces === 0) peer.setInterested(false);
    }
    // Told also to those that have it: only so does a complete one know what is still rare, and when two can part.
    this.#haves.add(index);
    this.#tellNews(index, authors);
    if (this.isComplete) this.#onComplete();
    this.#options.onPiece(index);
    if (this.#buffers.isShort || wasDemanded) this.requestFromAll();
  }

  /** Tells at once whom it matters to: who suggested the piece suggests no other before, and of a rare one a few others. */
  #tellNews(index: number, authors: readonly Requester[]): void {
    const nowMs = this.#options.clock.now();
    for (const author of new Set(authors)) {
      if (!(author instanceof SourceFeed) && nowMs - author.suggestedAtMs < suggestionMsMax) author.tellAll();
    }
    if (!this.#picker || !isRareNews(this.#picker.holdersOf(index))) return;
    const lacking = [...this.#options.peers].filter((peer) => peer.has?.has(index) === false);
    for (const peer of listenersAmong(lacking, this.#options.random)) peer.tellAll();
  }

  #onComplete(): void {
    this.#picker = undefined;
    this.#deal = this.#newDeal();
    for (const peer of this.#options.peers) {
      for (let index = 0; index < this.#info.pieceCount; index++) {
        if (peer.has?.has(index)) this.#deal.addPiece(peer, index);
      }
    }
    for (const feed of this.#feeds.values()) void feed.close();
    for (const peer of this.#options.peers) peer.tellAll();
    for (const peer of [...this.#options.peers]) this.#closeIfUseless(peer);
  }

  #dropBadPiece(index: number, piece: Buffer, authors: Requester[]): void {
    const contributors = new Set(authors);
    const isProven = contributors.size === 1;
    if (!isProven) this.#suspicions.note(index, piece, authors);
    this.#freeBuffer(index);
    this.#picker?.reset(index, !isProven);
    const from = [...contributors].map((each) =>
      each instanceof SourceFeed ? each.source.name : keyOf(each.endpoint),
    );
    this.#reportBadPiece(index, from);
    const [author] = contributors;
    if (!isProven || author === undefined || author instanceof SourceFeed) return;
    if (this.#options.blame(author) >= badPiecesMax)
      this.#options.strike(author, "it sent pieces that failed their hash");
    else this.#withoutPiece(author, index);
  }

  #reportBadPiece(index: number, from: string[]): void {
    this.#options.onVerifyFailure(from);
    this.#options.log.warn({ infohash: this.#info.infohash, piece: index, from }, "a piece failed its hash; dropped");
  }

  /** The peer is not asked for the piece again: its disk may be bad there and good elsewhere. */
  #withoutPiece(peer: Peer, index: number): void {
    // What a peer that is gone had is not counted any more.
    if (peer.closed || !peer.has?.remove(index)) return;
    this.#picker?.removePiece(index);
    if (--peer.usefulPieces === 0) peer.setInterested(false);
  }

  // --- sources beside the peers

  addSource(source: PieceSource): void {
    if (this.#picker && !this.#feeds.has(source)) {
      this.#feeds.set(source, new SourceFeed(source, this, this.#options.clock));
    }
  }

  removeSource(source: PieceSource): void {
    void this.#feeds.get(source)?.close();
    this.#feeds.delete(source);
  }

  openPiece(feed: SourceFeed): { index: number; offset: number; length: number } | undefined {
    const picker = this.#picker;
    if (!picker) return undefined;
    const { source } = feed;
    let index = this.#demand.forSource(picker, feed, source);
    if (!source.isForWantedOnly?.())
      index ??= picker.pickPiece(feed, this.#buffers.mayOpen, source.isForLackingOnly?.());
    if (index === undefined) return undefined;
    this.#ensureBuffer(index);
    return { index, offset: index * this.#info.pieceLengthBytes, length: pieceBytesOf(this.#info, index) };
  }

  /** A source's piece is judged by itself, whatever peers have sent of it. */
  async deliverPiece(feed: SourceFeed, index: number, bytes: Uint8Array): Promise<boolean> {
    this.#options.onProgress(bytes.length, "source");
    if (!this.#storage.verify(index, bytes)) {
      this.#picker?.forget(feed, index);
      this.#reportBadPiece(index, [feed.source.name]);
      return false;
    }
    const settled = this.#picker?.receiveWhole(feed, index);
    const piece = this.#buffers.get(index);
    if (!settled || !piece) {
      this.#options.onWasted(bytes.length);
      return true;
    }
    this.#hedges.done(index, this.#options.clock.now());
    if (this.#demand.isDemanded(index)) this.#options.onDemanded(bytes.length, "source");
    for (const { block, others } of settled) this.#settleBlock(block, others, feed);
    piece.set(bytes);
    this.#keepWaitingFor(this.#write(index, piece, [feed]));
    return true;
  }

  abandonPiece(feed: SourceFeed, index: number): void {
    this.#picker?.forget(feed, index);
  }

  sourceFailed(source: PieceSource, error: Error): void {
    this.#options.log.debug({ source: source.name, error: error.message }, "source failed");
    this.#options.onSourceError(source, error);
  }
}

function piecesFrom(pieces: "all" | "none" | Uint8Array, count: number): Bitfield {
  if (pieces === "all") return Bitfield.full(count);
  if (pieces === "none") return new Bitfield(count);
  return Bitfield.fromBytes(pieces, count);
}
