/**
 * One torrent's traffic in pieces, once its info and storage are there: what to ask of whom, what arrives, what is
 * verified, written and told to others, and what peers are given. Peers and sources (HTTP) are requesters alike.
 */
import type { AssemblyBudget } from "./assembly-budget.ts";
import { Bitfield } from "./bitfield.ts";
import { badPiecesMax, blockBytes, blockBytesMax, suspectPiecesMax } from "./limits.ts";
import { pieceBytesOf } from "./metainfo.ts";
import type { Peer } from "./peer.ts";
import { Picker } from "./picker.ts";
import { type FeedTarget, SourceFeed } from "./source-feed.ts";
import type { Storage } from "./storage.ts";
import type { Clock, PieceSource, SwarmLog, TorrentInfo } from "./types.ts";
import { type Block, encodeBitfield, encodeHave, encodeSignal } from "./wire.ts";

/** Requests are sent in groups: once this part of a peer's queue has room. */
const refillShare = 4;
/** A peer that refuses a request while it serves us is left alone for a moment. */
const restAfterRejectMs = 500;
/** A peer that did not answer in time gets its second chance after this, while others do its work. */
const restAfterSilenceMs = 5_000;

export interface PieceExchangeOptions {
  info: TorrentInfo;
  storage: Storage;
  clock: Clock;
  random: () => number;
  log: SwarmLog;
  budget: AssemblyBudget;
  /** Peers past their handshake. */
  peers: ReadonlySet<Peer>;
  /** The peer lies or breaks the rules: away with it. */
  strike: (peer: Peer, reason: string) => void;
  /** Blocks came in. */
  onProgress: (bytes: number, from: "peer" | "source") => void;
  onVerifyFailure: () => void;
  /** A piece was verified and is on disk. */
  onPiece: (index: number) => void;
  /** The disk failed. */
  onFault: (error: Error) => void;
  onSourceError: (source: PieceSource, error: Error) => void;
}

type Requester = Peer | SourceFeed;

export class PieceExchange implements FeedTarget {
  readonly #options: PieceExchangeOptions;
  readonly #info: TorrentInfo;
  readonly #storage: Storage;
  /** Absent once nothing is missing. */
  #picker: Picker<Requester> | undefined;
  /** The bytes of each piece being assembled. */
  readonly #buffers = new Map<number, Buffer>();
  readonly #feeds = new Map<PieceSource, SourceFeed>();
  readonly #writes = new Set<Promise<void>>();
  #stopped = false;

  constructor(options: PieceExchangeOptions) {
    this.#options = options;
    this.#info = options.info;
    this.#storage = options.storage;
    const { have } = options.storage;
    if (have.isFull) return;
    const pieceBytes = (index: number) => pieceBytesOf(options.info, index);
    this.#picker = new Picker({ pieceCount: options.info.pieceCount, pieceBytes, have, random: options.random });
  }

  get isComplete(): boolean {
    return this.#storage.have.isFull;
  }

  /** Stops asking and taking, waits for writes under way, and gives its memory back. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#picker = undefined;
    await Promise.all([...this.#feeds.values()].map((feed) => feed.close()));
    await Promise.all(this.#writes);
    for (const index of [...this.#buffers.keys()]) this.#freeBuffer(index);
  }

  // --- what a peer has

  /** Tells a new peer what we have, and looks at what it said before we could understand it. */
  greet(peer: Peer): void {
    const { have } = this.#storage;
    if (peer.fast && have.isFull) peer.send(encodeSignal("haveAll"));
    else if (peer.fast && have.count === 0) peer.send(encodeSignal("haveNone"));
    else if (have.count > 0) peer.send(encodeBitfield(have.bytes));
    peer.serveFrom((block) =>
      this.#storage.read(block.index * this.#info.pieceLengthBytes + block.begin, block.length),
    );
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
    if (this.#storage.have.has(index)) {
      this.#closeIfUseless(peer);
      return;
    }
    peer.usefulPieces++;
    peer.setInterested(true);
    this.#requestFrom(peer);
  }

  onPieces(peer: Peer, pieces: "all" | "none" | Uint8Array): void {
    let has: Bitfield;
    try {
      has = piecesFrom(pieces, this.#info.pieceCount);
    } catch (error) {
      this.#options.strike(peer, (error as Error).message);
      return;
    }
    if (peer.has) this.#picker?.removePeer(peer.has);
    peer.has = has;
    this.#picker?.addPeer(has);
    peer.usefulPieces = 0;
    const { have } = this.#storage;
    for (let index = 0; index < has.size; index++) if (has.has(index) && !have.has(index)) peer.usefulPieces++;
    if (this.#closeIfUseless(peer)) return;
    peer.setInterested(peer.usefulPieces > 0);
    this.#requestFrom(peer);
  }

  peerLeft(peer: Peer): void {
    this.releaseRequests(peer);
    if (peer.has) this.#picker?.removePeer(peer.has);
    this.requestFromAll();
  }

  /** Two that have everything are of no use to each other. */
  #closeIfUseless(peer: Peer): boolean {
    const isUseless = this.isComplete && peer.has?.isFull === true;
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
      peer.refuse(block);
      return;
    }
    const { index, begin, length } = block;
    const isQueued = peer.queueUpload({ index, begin, length });
    if (!isQueued) this.#options.strike(peer, "it asks for more blocks at once than any client needs");
  }

  #requestFault(block: Block): string | undefined {
    const { pieceCount } = this.#info;
    if (block.index >= pieceCount) return `it asks for piece ${block.index} of ${pieceCount}`;
    if (block.length === 0 || block.length > blockBytesMax) return `it asks for a block of ${block.length} bytes`;
    if (block.begin + block.length > pieceBytesOf(this.#info, block.index)) return "it asks beyond a piece's end";
    return undefined;
  }

  // --- what we ask of peers

  onUnchoke(peer: Peer): void {
    this.#requestFrom(peer);
  }

  onChoke(peer: Peer): void {
    this.releaseRequests(peer);
    this.requestFromAll();
  }

  onReject(peer: Peer, block: Block): void {
    if (!peer.settle(block.index, block.begin)) return;
    this.#picker?.release(peer, block.index, block.begin);
    if (!peer.choking) peer.restUntilMs = this.#options.clock.now() + restAfterRejectMs;
  }

  /** A peer that has not answered in time: others are asked for what it was asked for. */
  onOverdue(peer: Peer, nowMs: number): void {
    this.releaseRequests(peer);
    peer.restUntilMs = nowMs + restAfterSilenceMs;
  }

  releaseRequests(peer: Peer): void {
    for (const { index, begin } of peer.releaseRequests()) this.#picker?.release(peer, index, begin);
  }

  requestFromAll(): void {
    for (const peer of this.#options.peers) this.#requestFrom(peer);
  }

  #requestFrom(peer: Peer): void {
    const picker = this.#picker;
    if (!picker || !peer.has || peer.choking || !peer.amInterested || peer.closed) return;
    const nowMs = this.#options.clock.now();
    if (nowMs < peer.restUntilMs) return;
    const depth = peer.requestDepth(nowMs);
    const room = depth - peer.requestsLive;
    if (room <= 0 || room < Math.min(depth / refillShare, peer.requestsLive)) return;
    const blocks = picker.pick(peer, peer.has, room, this.#mayOpen, peer.requestsLive === 0);
    for (const { index } of blocks) this.#ensureBuffer(index);
    peer.request(blocks);
  }

  readonly #mayOpen = (index: number): boolean =>
    this.#buffers.size === 0 || this.#options.budget.mayOpen(pieceBytesOf(this.#info, index));

  #ensureBuffer(index: number): void {
    if (this.#buffers.has(index)) return;
    this.#buffers.set(index, this.#options.budget.take(pieceBytesOf(this.#info, index)));
  }

  #freeBuffer(index: number): void {
    const buffer = this.#buffers.get(index);
    if (buffer) this.#options.budget.give(buffer);
    this.#buffers.delete(index);
  }

  // --- what arrives

  /** Where an arriving block's bytes go; undefined if nobody asked for it or it is here already. */
  onBlockStart(peer: Peer, block: Block): Uint8Array | undefined {
    const { index, begin, length } = block;
    if (!peer.isAsked(index, begin, length) || !this.#picker?.isWanted(index, begin)) return undefined;
    return this.#buffers.get(index)?.subarray(begin, begin + length);
  }

  onBlockEnd(peer: Peer, block: Block, kept: boolean): void {
    peer.settle(block.index, block.begin);
    this.#options.onProgress(block.length, "peer");
    if (kept && this.#picker) this.#take(peer, block);
    this.#requestFrom(peer);
  }

  #take(requester: Requester, block: Block): boolean {
    const { others, contributors } = (this.#picker as Picker<Requester>).receive(requester, block.index, block.begin);
    for (const other of others) if (!(other instanceof SourceFeed)) other.cancel(block);
    // A peer that was given up may be sending these very bytes: their place is settled now.
    for (const peer of this.#options.peers) if (peer !== requester) peer.dropArriving(block.index, block.begin);
    return contributors === undefined || this.#endPiece(block.index, contributors);
  }

  /** Verifies a whole piece and writes it; false if it fails its hash. */
  #endPiece(index: number, contributors: Requester[]): boolean {
    const piece = this.#buffers.get(index) as Buffer;
    if (!this.#storage.verify(index, piece)) {
      this.#dropBadPiece(index, contributors);
      return false;
    }
    const writing: Promise<void> = this.#storage
      .write(index, piece)
      .then(() => this.#onWritten(index))
      .catch((error: Error) => this.#options.onFault(error))
      .finally(() => this.#writes.delete(writing));
    this.#writes.add(writing);
    return true;
  }

  #onWritten(index: number): void {
    this.#freeBuffer(index);
    this.#picker?.finish(index);
    if (this.#stopped) return;
    const announcement = encodeHave(index);
    for (const peer of this.#options.peers) {
      if (!peer.has) continue;
      if (!peer.has.has(index)) peer.send(announcement);
      else if (--peer.usefulPieces === 0) peer.setInterested(false);
    }
    if (this.isComplete) this.#onComplete();
    this.#options.onPiece(index);
    this.requestFromAll();
  }

  #onComplete(): void {
    this.#picker = undefined;
    for (const feed of this.#feeds.values()) void feed.close();
    for (const peer of [...this.#options.peers]) this.#closeIfUseless(peer);
  }

  #dropBadPiece(index: number, contributors: Requester[]): void {
    this.#freeBuffer(index);
    this.#picker?.reset(index);
    this.#options.onVerifyFailure();
    const from = contributors.map((each) => (each instanceof SourceFeed ? each.source.name : each.endpoint));
    this.#options.log.warn({ infohash: this.#info.infohash, piece: index, from }, "a piece failed its hash; dropped");
    for (const each of contributors) {
      if (each instanceof SourceFeed) continue;
      each.suspectPieces++;
      const isProven = contributors.length === 1 && each.suspectPieces >= badPiecesMax;
      if (isProven || each.suspectPieces >= suspectPiecesMax) {
        this.#options.strike(each, "it sent pieces that failed their hash");
      }
    }
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
    const index = this.#picker?.pickPiece(feed, this.#mayOpen);
    if (index === undefined) return undefined;
    this.#ensureBuffer(index);
    return { index, offset: index * this.#info.pieceLengthBytes, length: pieceBytesOf(this.#info, index) };
  }

  deliverPiece(feed: SourceFeed, index: number, bytes: Uint8Array): boolean {
    this.#options.onProgress(bytes.length, "source");
    let isGood = true;
    for (let begin = 0; begin < bytes.length; begin += blockBytes) {
      // Peers may have sent some of it meanwhile, and even ended it.
      if (!this.#picker?.isWanted(index, begin)) continue;
      const length = Math.min(blockBytes, bytes.length - begin);
      this.#buffers.get(index)?.set(bytes.subarray(begin, begin + length), begin);
      isGood = this.#take(feed, { index, begin, length }) && isGood;
    }
    return isGood;
  }

  abandonPiece(feed: SourceFeed, index: number): void {
    const pieceBytes = pieceBytesOf(this.#info, index);
    for (let begin = 0; begin < pieceBytes; begin += blockBytes) this.#picker?.release(feed, index, begin);
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
