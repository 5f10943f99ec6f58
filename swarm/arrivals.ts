/** What arrives of a torrent's pieces: taken, verified, written; and who is to blame for what is wrong. */
import { keyOf } from "./endpoint.ts";
import { badPiecesMax } from "./limits.ts";
import type { Peer } from "./peer.ts";
import type { PieceEvents } from "./piece-events.ts";
import type { PieceWork } from "./piece-work.ts";
import { type Requester, SourceFeed } from "./source-feed.ts";
import { Suspicions } from "./suspicions.ts";
import type { Clock, PieceStorage, SwarmLog, TorrentInfo } from "./types.ts";
import type { Block } from "./wire.ts";

type Told = "strike" | "blame" | "onProgress" | "onVerifyFailure" | "onWasted" | "onDemanded" | "onFault";

export interface ArrivalsOptions extends Pick<PieceEvents, Told> {
  info: TorrentInfo;
  storage: PieceStorage;
  work: PieceWork;
  clock: Clock;
  log: SwarmLog;
  /** A verified piece is on disk; `authors`: who sent each of its blocks. */
  onWritten: (index: number, authors: readonly Requester[]) => void;
  /** A peer alone has sent a piece that is wrong: it is not to be asked for that again. */
  onBadPiece: (peer: Peer, index: number) => void;
  /** There may be something to ask of a peer again, or of all. */
  requestFrom: (peer: Peer) => void;
  requestFromAll: () => void;
}

export class Arrivals {
  readonly #options: ArrivalsOptions;
  readonly #work: PieceWork;
  readonly #suspicions = new Suspicions<Requester>();
  readonly #writes = new Set<Promise<void>>();

  constructor(options: ArrivalsOptions) {
    this.#options = options;
    this.#work = options.work;
  }

  /** Resolves when no write is under way. */
  async settle(): Promise<void> {
    await Promise.all(this.#writes);
  }

  /** Where an arriving block's bytes go; undefined if nobody asked for it or it is here already. */
  onBlockStart(peer: Peer, block: Block): Uint8Array | undefined {
    const { index, begin, length } = block;
    const isAsked = peer.requests.isAsked(index, begin, length);
    if (!isAsked || !this.#work.picker?.isWanted(peer, index, begin)) return undefined;
    return this.#work.buffers.targetFor(peer, block);
  }

  onBlockEnd(peer: Peer, block: Block, kept: boolean): void {
    const { index, begin, length } = block;
    const { picker, room } = this.#work;
    if (!peer.requests.isAsked(index, begin, length)) {
      this.#options.onWasted(length);
      if (!peer.noteUnasked(length)) this.#options.strike(peer, "it sends what nobody asked for");
      return;
    }
    const nowMs = this.#options.clock.now();
    peer.requests.settle(index, begin, nowMs);
    peer.requests.arrived(length, nowMs);
    room.arrived(length, nowMs);
    this.#options.onProgress(length, "peer");
    if (kept && picker?.isWanted(peer, index, begin)) this.#take(peer, block);
    else {
      this.#options.onWasted(length);
      picker?.release(peer, index, begin);
    }
    this.#options.requestFrom(peer);
  }

  /** A source's piece is judged by itself, whatever peers have sent of it. False if it fails its hash. */
  takeWhole(feed: SourceFeed, index: number, bytes: Uint8Array): boolean {
    const { picker, buffers, hedges, demand } = this.#work;
    this.#options.onProgress(bytes.length, "source");
    if (!this.#options.storage.verify(index, bytes)) {
      picker?.forget(feed, index);
      this.#reportBadPiece(index, [feed.source.name]);
      return false;
    }
    const settled = picker?.receiveWhole(feed, index);
    const piece = buffers.get(index);
    if (!settled || !piece) {
      this.#options.onWasted(bytes.length);
      return true;
    }
    hedges.done(index, this.#options.clock.now());
    if (demand.isDemanded(index)) this.#options.onDemanded(bytes.length, "source");
    for (const { block, others } of settled) this.#settleBlock(block, others, feed);
    piece.set(bytes);
    this.#keepWaitingFor(this.#write(index, piece, [feed]));
    return true;
  }

  #take(peer: Peer, block: Block): void {
    const { picker, buffers, hedges, demand } = this.#work;
    const { index, begin } = block;
    if (!picker) return;
    buffers.takeAside(peer, block);
    if (demand.isDemanded(index)) this.#options.onDemanded(block.length, "peer");
    hedges.countReceived();
    const { others, authors } = picker.receive(peer, index, begin);
    this.#settleBlock(block, others, peer);
    if (!authors) return;
    hedges.done(index, this.#options.clock.now());
    const piece = buffers.get(index) as Buffer;
    if (this.#options.storage.verify(index, piece)) {
      this.#keepWaitingFor(this.#write(index, piece, authors));
      return;
    }
    this.#dropBadPiece(index, piece, authors);
    this.#options.requestFromAll();
  }

  /** A block is here: whoever else was to send it need not, and whoever is sending it writes nowhere any more. */
  #settleBlock(block: Block, others: readonly Requester[], from: Requester): void {
    for (const other of others) if (!(other instanceof SourceFeed)) other.cancel(block);
    this.#work.buffers.settle(block, from);
  }

  /** Writes a verified piece. */
  async #write(index: number, piece: Buffer, authors: readonly Requester[]): Promise<void> {
    for (const peer of this.#suspicions.clear(index, piece)) {
      if (!(peer instanceof SourceFeed)) this.#options.strike(peer, "blocks that it sent were not the piece's");
    }
    await this.#options.storage.write(index, piece);
    this.#options.onWritten(index, authors);
  }

  /** What the disk is at work on must end before the torrent does. */
  #keepWaitingFor(work: Promise<void>): void {
    const waiting: Promise<void> = work
      .catch((error: Error) => this.#options.onFault(error))
      .finally(() => this.#writes.delete(waiting));
    this.#writes.add(waiting);
  }

  #dropBadPiece(index: number, piece: Buffer, authors: Requester[]): void {
    const contributors = new Set(authors);
    const isProven = contributors.size === 1;
    if (!isProven) this.#suspicions.note(index, piece, authors);
    this.#work.free(index);
    this.#work.picker?.reset(index, !isProven);
    const from = [...contributors].map((each) =>
      each instanceof SourceFeed ? each.source.name : keyOf(each.endpoint),
    );
    this.#reportBadPiece(index, from);
    const [author] = contributors;
    if (!isProven || author === undefined || author instanceof SourceFeed) return;
    const { blame, strike, onBadPiece } = this.#options;
    if (blame(author) >= badPiecesMax) strike(author, "it sent pieces that failed their hash");
    else onBadPiece(author, index);
  }

  #reportBadPiece(index: number, from: string[]): void {
    const { info, log, onVerifyFailure } = this.#options;
    onVerifyFailure(from);
    log.warn({ infohash: info.infohash, piece: index, from }, "a piece failed its hash; dropped");
  }
}
