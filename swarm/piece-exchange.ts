/**
 * One torrent's traffic in pieces, once its info and storage are there: who has which, what is told to others, and what
 * becomes of a piece that is here. Its parts: what is asked of peers (asking.ts) and of sources such as HTTP (sources.ts),
 * what arrives (arrivals.ts), and what peers are given (giving.ts).
 */
import { Arrivals } from "./arrivals.ts";
import { Asking, type AskingOptions, isSuggesting } from "./asking.ts";
import { Bitfield } from "./bitfield.ts";
import type { Want } from "./demand.ts";
import { Giving } from "./giving.ts";
import { HaveLog } from "./have-log.ts";
import { retractionsMax } from "./limits.ts";
import type { Peer } from "./peer.ts";
import type { PieceEvents } from "./piece-events.ts";
import { PieceWork, type PieceWorkOptions } from "./piece-work.ts";
import { isRareNews, listenersAmong } from "./rare-news.ts";
import { type Requester, SourceFeed } from "./source-feed.ts";
import { Sources } from "./sources.ts";
import type { PieceSource, PieceStorage, SwarmLog, TorrentInfo } from "./types.ts";
import { type Block, encodeBitfield, encodeSignal } from "./wire.ts";

export interface PieceExchangeOptions extends PieceEvents, PieceWorkOptions, Omit<AskingOptions, "work"> {
  log: SwarmLog;
}

export class PieceExchange {
  readonly #options: PieceExchangeOptions;
  readonly #info: TorrentInfo;
  readonly #storage: PieceStorage;
  readonly #work: PieceWork;
  readonly #asking: Asking;
  readonly #arrivals: Arrivals;
  readonly #sources: Sources;
  readonly #giving: Giving;
  readonly #haves = new HaveLog();
  #stopped = false;

  constructor(options: PieceExchangeOptions) {
    this.#options = options;
    this.#info = options.info;
    this.#storage = options.storage;
    this.#work = new PieceWork(options);
    const work = this.#work;
    this.#asking = new Asking({ ...options, work });
    this.#arrivals = new Arrivals({
      ...options,
      work,
      onWritten: (index, authors) => this.#onWritten(index, authors),
      onBadPiece: (peer, index) => this.#withoutPiece(peer, index),
      requestFrom: (peer) => this.#asking.requestFrom(peer),
      requestFromAll: () => this.#asking.requestFromAll(),
    });
    this.#sources = new Sources({ ...options, work, arrivals: this.#arrivals });
    this.#giving = new Giving(options);
  }

  get isComplete(): boolean {
    return this.#storage.have.isFull;
  }

  /** Pieces not here that no connected peer has. */
  get lackingPieces(): number {
    return this.#work.picker?.lacking ?? 0;
  }

  /** Stops asking and taking, waits for writes under way, and gives its memory back. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#work.picker = undefined;
    this.#asking.stop();
    await this.#sources.close();
    await this.#arrivals.settle();
    this.#work.buffers.freeAll();
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
    this.#work.picker?.addPiece(index);
    this.#giving.addPiece(peer, index);
    if (this.#storage.have.has(index)) {
      this.#closeIfUseless(peer);
      return;
    }
    peer.usefulPieces++;
    peer.setInterested(true);
    this.#asking.requestSoon(peer);
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
      this.#work.picker?.addPiece(index);
      this.#giving.addPiece(peer, index);
    }
    for (const index of changes.removed) {
      this.#work.picker?.removePiece(index);
      this.#giving.removePiece(index);
    }
    peer.usefulPieces += changes.added.filter((index) => !have.has(index)).length;
    peer.usefulPieces -= changes.removed.filter((index) => !have.has(index)).length;
    if (this.#closeIfUseless(peer)) return;
    peer.setInterested(peer.usefulPieces > 0);
    this.#asking.requestFrom(peer);
  }

  peerLeft(peer: Peer): void {
    this.#asking.forget(peer);
    if (peer.has) this.#work.picker?.removePeer(peer.has);
    this.#giving.forget(peer);
    this.#asking.requestFromAll();
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
    this.#giving.onRequest(peer, block);
  }

  /** Peers that may be served from now on. */
  serve(peers: ReadonlySet<Peer>): void {
    this.#giving.serve(peers);
  }

  /** Whether the peer is to stay choked for now: it is unchoked with its first suggestion. */
  isWaiting(peer: Peer): boolean {
    return this.#giving.isWaiting(peer);
  }

  // --- what somebody waits for

  /** What reads wait for from now on, and will wait for next. */
  want(want: Want): void {
    if (!this.#work.picker) return;
    this.#asking.want(want);
    this.#sources.wake();
    this.#asking.requestFromAll();
  }

  /** The order in which pieces are to come where nothing else decides. */
  setOrder(pieces: readonly number[]): void {
    this.#work.demand.setOrder(pieces);
  }

  /** How long the longest demand has waited. */
  get demandWaitedMs(): number {
    return this.#work.demand.waitedMs(this.#options.clock.now());
  }

  // --- what we ask of peers

  tick(): void {
    this.#giving.tick();
    this.#asking.tick();
    for (const peer of this.#options.peers) peer.tellAll();
  }

  onSuggest(peer: Peer, index: number): void {
    if (index >= this.#info.pieceCount) {
      this.#options.strike(peer, `it suggests piece ${index} of ${this.#info.pieceCount}`);
      return;
    }
    if (this.#work.picker && !this.#storage.have.has(index)) this.#asking.suggested(peer, index);
  }

  onUnchoke(peer: Peer): void {
    this.#asking.requestFrom(peer);
  }

  onChoke(peer: Peer): void {
    this.#asking.release(peer);
    this.#asking.requestFromAll();
  }

  onReject(peer: Peer, block: Block): void {
    this.#asking.rejected(peer, block);
  }

  /** Takes back from a peer what it has not answered in time, so that others are asked for it. */
  releaseOverdue(peer: Peer, nowMs: number): void {
    if (peer.requests.isOverdue(nowMs)) this.#asking.overdue(peer, nowMs);
    else this.#asking.releaseStale(peer, nowMs);
  }

  // --- what arrives

  onBlockStart(peer: Peer, block: Block): Uint8Array | undefined {
    return this.#arrivals.onBlockStart(peer, block);
  }

  onBlockEnd(peer: Peer, block: Block, kept: boolean): void {
    this.#arrivals.onBlockEnd(peer, block, kept);
  }

  #onWritten(index: number, authors: readonly Requester[]): void {
    const { picker, demand, buffers } = this.#work;
    this.#work.free(index);
    picker?.finish(index);
    const wasDemanded = demand.isDemanded(index);
    demand.arrived(index);
    if (this.#stopped) return;
    for (const peer of this.#options.peers) {
      if (peer.has?.has(index) && --peer.usefulPieces === 0) peer.setInterested(false);
    }
    // Told also to those that have it: only so does a complete one know what is still rare, and when two can part.
    this.#haves.add(index);
    this.#tellNews(index, authors);
    if (this.isComplete) this.#onComplete();
    this.#options.onPiece(index);
    if (buffers.isShort || wasDemanded) this.#asking.requestFromAll();
  }

  /** Tells at once whom it matters to: who suggested the piece suggests no other before, and of a rare one a few others. */
  #tellNews(index: number, authors: readonly Requester[]): void {
    const nowMs = this.#options.clock.now();
    for (const author of new Set(authors)) {
      if (!(author instanceof SourceFeed) && isSuggesting(author, nowMs)) author.tellAll();
    }
    const { picker } = this.#work;
    if (!picker || !isRareNews(picker.holdersOf(index))) return;
    const lacking = [...this.#options.peers].filter((peer) => peer.has?.has(index) === false);
    for (const peer of listenersAmong(lacking, this.#options.random)) peer.tellAll();
  }

  #onComplete(): void {
    this.#work.picker = undefined;
    this.#giving.onComplete(this.#options.peers);
    void this.#sources.close();
    for (const peer of this.#options.peers) peer.tellAll();
    for (const peer of [...this.#options.peers]) this.#closeIfUseless(peer);
  }

  /** The peer is not asked for the piece again: its disk may be bad there and good elsewhere. */
  #withoutPiece(peer: Peer, index: number): void {
    // What a peer that is gone had is not counted any more.
    if (peer.closed || !peer.has?.remove(index)) return;
    this.#work.picker?.removePiece(index);
    if (--peer.usefulPieces === 0) peer.setInterested(false);
  }

  // --- sources beside the peers

  addSource(source: PieceSource): void {
    this.#sources.add(source);
  }

  removeSource(source: PieceSource): void {
    this.#sources.remove(source);
  }
}

function piecesFrom(pieces: "all" | "none" | Uint8Array, count: number): Bitfield {
  if (pieces === "all") return Bitfield.full(count);
  if (pieces === "none") return new Bitfield(count);
  return Bitfield.fromBytes(pieces, count);
}
