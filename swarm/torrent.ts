/**
 * One torrent: the sole owner of its state. Sockets, disk, DHT and timers report here, and every decision is taken here
 * with the help of the pure parts: the picker (which block), the choker (whom to serve), the book (whom to connect to).
 *
 *     magnet only -> metadata from a peer -> storage opened -> pieces -> complete, and seeding all along
 */
import { EventEmitter } from "node:events";
import type { AssemblyBudget } from "./assembly-budget.ts";
import { Bitfield } from "./bitfield.ts";
import { chooseUnchoked } from "./choker.ts";
import { encodeExtensionHandshake, extensionHandshakeId, extensionsFrom, ourMetadataId } from "./extension.ts";
import {
  badPiecesMax,
  blockBytes,
  blockBytesMax,
  connectionsPerTorrentMax,
  connectsPerTorrentMax,
  handshakeTimeoutMs,
  idleTimeoutMs,
  keepAliveIntervalMs,
  metadataTimeoutMs,
  rechokeIntervalMs,
  suspectPiecesMax,
  unchokedMax,
} from "./limits.ts";
import {
  answerMetadataRequest,
  encodeMetadataMessage,
  MetadataDownload,
  type MetadataMessage,
  metadataMessageFrom,
} from "./metadata.ts";
import { pieceBytesOf, torrentInfoFromInfoBytes } from "./metainfo.ts";
import type { Peer, PeerOwner } from "./peer.ts";
import { PeerBook } from "./peer-book.ts";
import { Picker } from "./picker.ts";
import { RateMeter } from "./rate.ts";
import { type FeedTarget, SourceFeed } from "./source-feed.ts";
import { Storage } from "./storage.ts";
import type {
  AddTorrentOptions,
  Clock,
  Endpoint,
  PieceSource,
  SwarmLog,
  TorrentEvents,
  TorrentInfo,
  TorrentStatus,
} from "./types.ts";
import {
  type Block,
  encodeBitfield,
  encodeExtended,
  encodeHandshake,
  encodeHave,
  encodeSignal,
  type Handshake,
  type WireMessage,
} from "./wire.ts";

/** How often timeouts, connections and slots are looked after. */
const tickMs = 250;
/** Waits between DHT look-ups while pieces are missing: doubled from the first to the last. */
const announceMsMin = 1_000;
const announceMsMax = 30_000;
/** The same once complete, or with peers enough: before others forget the announcement. */
const announceMsSettled = 10 * 60 * 1_000;
/** With this many peers there is no hurry to find more. */
const peersEnough = 20;
/** A peer that was of no use to us is left alone for this long. */
const uselessPeerMs = 60_000;
/** Requests are sent in groups, once this part of a peer's queue has room. */
const refillShare = 4;
const restAfterRejectMs = 500;

/** What the swarm gives each of its torrents. */
export interface TorrentHost {
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: SwarmLog;
  /** 20 bytes. */
  readonly peerId: Uint8Array;
  readonly peerPort: number;
  readonly budget: AssemblyBudget;
  /** Connects to a peer on behalf of the torrent; undefined if there is no place for it. */
  connect(endpoint: Endpoint, owner: PeerOwner): Peer | undefined;
  /** Looks up peers in the DHT and announces the torrent. */
  announce(infohash: string): void;
  strike(peer: Peer, reason: string): void;
  isStruck(endpoint: Endpoint): boolean;
  /** Payload that came and went, for the node's totals. */
  countReceived(bytes: number): void;
  countSent(bytes: number): void;
  countVerifyFailure(): void;
  removed(torrent: Torrent): void;
}

type Requester = Peer | SourceFeed;

export class Torrent extends EventEmitter<TorrentEvents> implements PeerOwner, FeedTarget {
  readonly infohash: string;
  readonly #options: AddTorrentOptions;
  readonly #host: TorrentHost;
  #info: TorrentInfo | undefined;
  #storage: Storage | undefined;
  #picker: Picker<Requester> | undefined;
  readonly #book: PeerBook;
  /** Peers past their handshake, and connections that are not there yet. */
  readonly #peers = new Set<Peer>();
  readonly #pending = new Set<Peer>();
  readonly #sources = new Map<PieceSource, SourceFeed | undefined>();
  /** The bytes of each piece being assembled. */
  readonly #buffers = new Map<number, Buffer>();
  #metadata: { peer: Peer; download: MetadataDownload; askedAtMs: number } | undefined;
  readonly #abort = new AbortController();
  #cancelTick: () => void = () => {};
  #nextAnnounceAtMs = 0;
  #announceWaitMs = announceMsMin;
  #rechokedAtMs = 0;
  #progressAtMs: number;
  readonly #down: RateMeter;
  readonly #up: RateMeter;
  #swarmBytes = 0;
  #sourceBytes = 0;
  #verifyFailures = 0;
  #writes = 0;
  #completed = false;
  #failed = false;
  #closing: Promise<void> | undefined;
  #opening: Promise<void> = Promise.resolve();

  constructor(options: AddTorrentOptions, host: TorrentHost) {
    super();
    this.infohash = options.infohash;
    this.#options = options;
    this.#host = host;
    const nowMs = host.clock.now();
    this.#book = new PeerBook(host.random);
    this.#down = new RateMeter(nowMs);
    this.#up = new RateMeter(nowMs);
    this.#progressAtMs = nowMs;
    for (const endpoint of options.peers ?? []) this.addPeer(endpoint);
    if (options.info) this.#useInfo(options.info);
    // The first tick comes in its own turn, so that the caller can listen for events first.
    this.#cancelTick = host.clock.after(0, () => this.#tick());
  }

  get info(): TorrentInfo | undefined {
    return this.#info;
  }

  /** A peer's address, from the DHT or elsewhere. */
  addPeer(endpoint: Endpoint): void {
    if (!this.#host.isStruck(endpoint)) this.#book.add(endpoint);
  }

  /** Announces anew soon, as when the DHT has got its first nodes. */
  announceSoon(): void {
    this.#nextAnnounceAtMs = 0;
  }

  /** Whether a further inbound connection may come in. */
  get hasPlace(): boolean {
    return !this.#closing && this.#peers.size < connectionsPerTorrentMax;
  }

  /** Adds a source beside the peers, such as HTTP; the function returned takes it away again. */
  addSource(source: PieceSource): () => void {
    this.#sources.set(source, undefined);
    this.#startFeeds();
    return () => {
      const feed = this.#sources.get(source);
      this.#sources.delete(source);
      void feed?.close();
    };
  }

  status(): TorrentStatus {
    const nowMs = this.#host.clock.now();
    return {
      infohash: this.infohash,
      lengthBytes: this.#info?.lengthBytes ?? 0,
      doneBytes: this.#storage?.doneBytes ?? 0,
      complete: this.#completed,
      peers: this.#peers.size,
      peersSeen: this.#book.seen,
      swarmBytes: this.#swarmBytes,
      sourceBytes: this.#sourceBytes,
      sentBytes: this.#up.total,
      downBytesPerSecond: this.#down.bytesPerSecond(nowMs),
      upBytesPerSecond: this.#up.bytesPerSecond(nowMs),
      verifyFailures: this.#verifyFailures,
      msSinceProgress: nowMs - this.#progressAtMs,
    };
  }

  /** Leaves the swarm, writes down what is here and closes the files. The data stays. */
  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  async #end(): Promise<void> {
    this.#abort.abort(new Error("the torrent was closed"));
    this.#cancelTick();
    for (const peer of [...this.#peers, ...this.#pending]) peer.close();
    await Promise.all([...this.#sources.values()].map((feed) => feed?.close()));
    await this.#opening;
    this.#host.removed(this);
    // Writes under way keep the file open; the storage's own calls come after them.
    while (this.#writes > 0) await new Promise((resolve) => this.#host.clock.after(5, () => resolve(undefined)));
    for (const buffer of this.#buffers.values()) this.#host.budget.give(buffer);
    this.#buffers.clear();
    await this.#storage?.close();
  }

  // --- info and storage

  #useInfo(info: TorrentInfo): void {
    const { expectedLengthBytes } = this.#options;
    if (expectedLengthBytes !== undefined && info.lengthBytes !== expectedLengthBytes) {
      const difference = `${info.lengthBytes} bytes where ${expectedLengthBytes} were expected`;
      this.#host.clock.after(0, () => this.#fail(new Error(`the torrent ${this.infohash} has ${difference}`)));
      return;
    }
    this.#info = info;
    this.#opening = this.#openStorage(info);
  }

  async #openStorage(info: TorrentInfo): Promise<void> {
    const { dataPath, havePath, complete = false } = this.#options;
    try {
      const storage = await Storage.open({ info, dataPath, havePath, complete }, this.#abort.signal);
      storage.onFault = (error) => this.#fail(error);
      this.#storage = storage;
    } catch (error) {
      if (!this.#abort.signal.aborted) this.#fail(error as Error);
      return;
    }
    if (this.#abort.signal.aborted) return;
    const { have } = this.#storage;
    if (!have.isFull) {
      const pieceBytes = (index: number) => pieceBytesOf(info, index);
      this.#picker = new Picker({ pieceCount: info.pieceCount, pieceBytes, have, random: this.#host.random });
    }
    for (const peer of this.#peers) this.#greetWithPieces(peer);
    this.#startFeeds();
    this.#checkComplete();
  }

  #startFeeds(): void {
    if (!this.#picker || this.#completed) return;
    for (const [source, feed] of this.#sources) {
      if (!feed) this.#sources.set(source, new SourceFeed(source, this, this.#host.clock));
    }
  }

  #fail(error: Error): void {
    if (this.#failed || this.#closing) return;
    this.#failed = true;
    this.#cancelTick();
    for (const peer of [...this.#peers, ...this.#pending]) peer.close();
    for (const feed of this.#sources.values()) void feed?.close();
    this.emit("error", error);
  }

  #checkComplete(): void {
    if (this.#completed || !this.#storage?.have.isFull) return;
    this.#completed = true;
    this.#picker = undefined;
    this.#nextAnnounceAtMs = 0;
    for (const feed of this.#sources.values()) void feed?.close();
    // Two that have everything are of no use to each other.
    for (const peer of this.#peers) if (peer.has?.isFull) peer.close();
    this.#storage.flush().then(
      () => this.emit("complete"),
      (error: Error) => this.#fail(error),
    );
  }

  // --- connections

  /** Takes an inbound connection whose handshake named this torrent. */
  adopt(peer: Peer, handshake: Handshake): void {
    peer.owner = this;
    peer.send(encodeHandshake(this.infohash, this.#host.peerId));
    this.onHandshake(peer, handshake);
  }

  onHandshake(peer: Peer, handshake: Handshake): void {
    this.#pending.delete(peer);
    const ownId = Buffer.from(this.#host.peerId).toString("hex");
    const fault = this.#handshakeFault(peer, handshake, ownId);
    if (fault) {
      peer.close(new Error(fault));
      return;
    }
    this.#peers.add(peer);
    if (handshake.extended) {
      const payload = encodeExtensionHandshake(this.#host.peerPort, this.#info?.infoBytes.length ?? 0);
      peer.send(encodeExtended(extensionHandshakeId, payload));
    }
    if (this.#storage) this.#greetWithPieces(peer);
  }

  #handshakeFault(peer: Peer, handshake: Handshake, ownId: string): string | undefined {
    if (handshake.infohash !== this.infohash) return "the peer answered for another torrent";
    if (peer.id === ownId) {
      this.#book.forget(peer.endpoint);
      return "connected to ourselves";
    }
    const twin = [...this.#peers].find((other) => other.id === peer.id);
    if (!twin) return undefined;
    // Both sides dialled: both must keep the same one, the one that the smaller id dialled.
    const keptDirection = ownId < peer.id ? "outbound" : "inbound";
    if (twin.direction === peer.direction || twin.direction === keptDirection) return "connected already";
    twin.close();
    return undefined;
  }

  onClose(peer: Peer, error: Error | undefined): void {
    const wasPending = this.#pending.delete(peer);
    const wasPeer = this.#peers.delete(peer);
    const nowMs = this.#host.clock.now();
    if (peer.listens) {
      const useless = this.#completed || peer.usefulPieces === 0;
      this.#book.ended(peer.listens, nowMs, wasPeer && useless ? uselessPeerMs : 0);
    }
    if (error)
      this.#host.log.debug({ peer: peer.endpoint, infohash: this.infohash, error: error.message }, "peer lost");
    if (wasPending || !wasPeer) return;
    this.#releaseRequests(peer);
    if (peer.has && this.#picker) this.#picker.removePeer(peer.has);
    if (this.#metadata?.peer === peer) this.#metadata = undefined;
    this.#rechoke();
    this.#requestFromAll();
  }

  /** Tells a peer what we have and looks at what it has, once both can be known. */
  #greetWithPieces(peer: Peer): void {
    const info = this.#info as TorrentInfo;
    const { have } = this.#storage as Storage;
    if (peer.fast && have.isFull) peer.send(encodeSignal("haveAll"));
    else if (peer.fast && have.count === 0) peer.send(encodeSignal("haveNone"));
    else if (have.count > 0) peer.send(encodeBitfield(have.bytes));
    peer.serveFrom((block) => this.#readBlock(block));
    peer.bitfieldBytesMax = have.bytes.length;
    try {
      peer.has = piecesFrom(peer.earlyPieces, info.pieceCount);
      for (const index of peer.earlyHaves) this.#notePiece(peer.has, index);
    } catch (error) {
      this.#strike(peer, (error as Error).message);
      return;
    }
    peer.earlyHaves = [];
    this.#picker?.addPeer(peer.has);
    this.#assessPeer(peer);
  }

  /** After a peer's pieces have become known as a whole. */
  #assessPeer(peer: Peer): void {
    const { have } = this.#storage as Storage;
    const has = peer.has as Bitfield;
    peer.usefulPieces = 0;
    for (let index = 0; index < has.size; index++) if (has.has(index) && !have.has(index)) peer.usefulPieces++;
    if (this.#completed && has.isFull) {
      peer.close();
      return;
    }
    peer.setInterested(peer.usefulPieces > 0);
    this.#requestFrom(peer);
  }

  #strike(peer: Peer, reason: string): void {
    this.#host.strike(peer, reason);
    peer.close(new Error(reason));
    if (peer.listens) this.#book.forget(peer.listens);
  }

  // --- messages

  onMessage(peer: Peer, message: WireMessage): void {
    switch (message.type) {
      case "choke":
        peer.choking = true;
        this.#releaseRequests(peer);
        this.#requestFromAll();
        break;
      case "unchoke":
        peer.choking = false;
        this.#requestFrom(peer);
        break;
      case "interested":
      case "notInterested":
        peer.interested = message.type === "interested";
        peer.chokeChangedAtMs = this.#host.clock.now();
        this.#rechoke();
        break;
      case "have":
        this.#onHave(peer, message.index);
        break;
      case "bitfield":
        this.#onPieces(peer, message.bytes);
        break;
      case "haveAll":
        this.#onPieces(peer, "all");
        break;
      case "haveNone":
        this.#onPieces(peer, "none");
        break;
      case "request":
        this.#onRequest(peer, message);
        break;
      case "cancel":
        peer.cancelUpload(message);
        break;
      case "reject":
        this.#onReject(peer, message);
        break;
      case "extended":
        this.#onExtended(peer, message.id, message.payload);
        break;
      case "keepAlive":
        break;
    }
  }

  #onHave(peer: Peer, index: number): void {
    if (!peer.has) {
      // The number of pieces is not known yet; nobody has more to say than a full bitfield would.
      if (peer.earlyHaves.length < 4_096) peer.earlyHaves.push(index);
      return;
    }
    if (index >= peer.has.size) {
      this.#strike(peer, `it has piece ${index} of ${peer.has.size}`);
      return;
    }
    if (!peer.has.add(index)) return;
    this.#picker?.addPiece(index);
    if (this.#storage?.have.has(index)) {
      if (this.#completed && peer.has.isFull) peer.close();
      return;
    }
    peer.usefulPieces++;
    peer.setInterested(true);
    this.#requestFrom(peer);
  }

  #onPieces(peer: Peer, pieces: "all" | "none" | Uint8Array): void {
    if (!peer.has) {
      peer.earlyPieces = pieces;
      return;
    }
    let has: Bitfield;
    try {
      has = piecesFrom(pieces, peer.has.size);
    } catch (error) {
      this.#strike(peer, (error as Error).message);
      return;
    }
    this.#picker?.removePeer(peer.has);
    peer.has = has;
    this.#picker?.addPeer(has);
    this.#assessPeer(peer);
  }

  #notePiece(has: Bitfield, index: number): void {
    if (index >= has.size) throw new Error(`it has piece ${index} of ${has.size}`);
    has.add(index);
  }

  #onRequest(peer: Peer, block: Block): void {
    const fault = this.#requestFault(block);
    if (fault) {
      this.#strike(peer, fault);
      return;
    }
    if (peer.amChoking || !this.#storage?.have.has(block.index)) {
      peer.refuse(block);
      return;
    }
    const { index, begin, length } = block;
    if (!peer.queueUpload({ index, begin, length })) this.#strike(peer, "it asks for more blocks at once than allowed");
  }

  #requestFault(block: Block): string | undefined {
    if (!this.#info) return "it asks for blocks before the torrent is known";
    if (block.index >= this.#info.pieceCount) return `it asks for piece ${block.index} of ${this.#info.pieceCount}`;
    if (block.length === 0 || block.length > blockBytesMax) return `it asks for a block of ${block.length} bytes`;
    if (block.begin + block.length > pieceBytesOf(this.#info, block.index)) return "it asks beyond a piece's end";
    return undefined;
  }

  #onReject(peer: Peer, block: Block): void {
    if (!peer.settle(block.index, block.begin)) return;
    this.#picker?.release(peer, block.index, block.begin);
    if (!peer.choking) peer.restUntilMs = this.#host.clock.now() + restAfterRejectMs;
  }

  #readBlock(block: Block): Promise<Uint8Array> {
    const { pieceLengthBytes } = this.#info as TorrentInfo;
    return (this.#storage as Storage).read(block.index * pieceLengthBytes + block.begin, block.length);
  }

  onSent(_peer: Peer, bytes: number): void {
    this.#up.add(bytes, this.#host.clock.now());
    this.#host.countSent(bytes);
  }

  // --- extensions and metadata

  #onExtended(peer: Peer, id: number, payload: Uint8Array): void {
    try {
      if (id === extensionHandshakeId) this.#onExtensionHandshake(peer, payload);
      else if (id === ourMetadataId) this.#onMetadata(peer, metadataMessageFrom(payload));
    } catch (error) {
      this.#strike(peer, (error as Error).message);
    }
  }

  #onExtensionHandshake(peer: Peer, payload: Uint8Array): void {
    const { peerPort, ...extensions } = extensionsFrom(payload);
    peer.extensions = extensions;
    if (!peer.listens && peerPort > 0) {
      peer.listens = { host: peer.endpoint.host, port: peerPort };
      this.#book.connected(peer.listens);
    }
    this.#askForMetadata();
  }

  #onMetadata(peer: Peer, message: MetadataMessage): void {
    if (message.type === "request") {
      const answer = answerMetadataRequest(this.#info?.infoBytes, message.part);
      peer.send(encodeExtended(peer.extensions.metadataId, encodeMetadataMessage(answer)));
      return;
    }
    if (this.#metadata?.peer !== peer) return;
    if (message.type === "reject") {
      // It does not have it yet either; another may.
      peer.extensions.metadataBytes = 0;
      this.#metadata = undefined;
      this.#askForMetadata();
      return;
    }
    const infoBytes = this.#metadata.download.take(message);
    this.#metadata.askedAtMs = this.#host.clock.now();
    if (!infoBytes) {
      this.#sendMetadataRequests();
      return;
    }
    this.#metadata = undefined;
    this.#learnInfo(infoBytes);
  }

  #learnInfo(infoBytes: Uint8Array): void {
    let info: TorrentInfo;
    try {
      info = torrentInfoFromInfoBytes(infoBytes);
    } catch (error) {
      // It has the right hash, so no other peer will tell otherwise.
      this.#fail(error as Error);
      return;
    }
    this.#progressAtMs = this.#host.clock.now();
    this.#useInfo(info);
    if (this.#info) this.emit("info", info);
  }

  #askForMetadata(): void {
    if (this.#info || this.#metadata || this.#failed) return;
    for (const peer of this.#peers) {
      if (peer.extensions.metadataId === 0 || peer.extensions.metadataBytes === 0) continue;
      const download = new MetadataDownload(this.infohash, peer.extensions.metadataBytes);
      this.#metadata = { peer, download, askedAtMs: this.#host.clock.now() };
      this.#sendMetadataRequests();
      return;
    }
  }

  #sendMetadataRequests(): void {
    if (!this.#metadata) return;
    const { peer, download } = this.#metadata;
    for (const request of download.nextRequests()) {
      peer.send(encodeExtended(peer.extensions.metadataId, encodeMetadataMessage(request)));
    }
  }

  // --- blocks and pieces

  onBlockStart(peer: Peer, index: number, begin: number, length: number): Uint8Array | undefined {
    if (!this.#picker?.isWanted(index, begin) || !peer.isAsked(index, begin, length)) return undefined;
    return this.#buffers.get(index)?.subarray(begin, begin + length);
  }

  onBlockEnd(peer: Peer, block: Block, kept: boolean): void {
    const nowMs = this.#host.clock.now();
    peer.lastBlockAtMs = nowMs;
    peer.down.add(block.length, nowMs);
    this.#down.add(block.length, nowMs);
    this.#swarmBytes += block.length;
    this.#host.countReceived(block.length);
    peer.settle(block.index, block.begin);
    if (kept && this.#picker) {
      this.#progressAtMs = nowMs;
      const { others, contributors } = this.#picker.receive(peer, block.index, block.begin);
      for (const other of others) if (isPeer(other)) other.cancel(block);
      // Some other peer, given up on, may be sending these bytes at this moment: they are settled now.
      for (const other of this.#peers) if (other !== peer) other.dropArriving(block.index, block.begin);
      if (contributors) this.#endPiece(block.index, contributors);
    }
    this.#requestFrom(peer);
  }

  #endPiece(index: number, contributors: Requester[]): void {
    const piece = this.#buffers.get(index) as Buffer;
    const storage = this.#storage as Storage;
    if (!storage.verify(index, piece)) {
      this.#dropBadPiece(index, contributors);
      return;
    }
    this.#writes++;
    storage.write(index, piece).then(
      () => this.#onWritten(index),
      (error: Error) => {
        this.#writes--;
        this.#fail(error);
      },
    );
  }

  #onWritten(index: number): void {
    this.#writes--;
    this.#freeBuffer(index);
    this.#picker?.finish(index);
    if (this.#closing || this.#failed) return;
    const announcement = encodeHave(index);
    for (const peer of this.#peers) {
      if (!peer.has) continue;
      if (!peer.has.has(index)) peer.send(announcement);
      else if (--peer.usefulPieces === 0) peer.setInterested(false);
    }
    this.emit("piece", index);
    this.#checkComplete();
    this.#requestFromAll();
  }

  #dropBadPiece(index: number, contributors: Requester[]): void {
    this.#verifyFailures++;
    this.#host.countVerifyFailure();
    this.#freeBuffer(index);
    this.#picker?.reset(index);
    const names = contributors.map((each) => (isPeer(each) ? each.endpoint : each.source.name));
    this.#host.log.warn({ infohash: this.infohash, piece: index, from: names }, "a piece failed its hash; dropped");
    const suspects = contributors.filter(isPeer);
    for (const peer of suspects) {
      peer.suspectPieces++;
      const isProven = contributors.length === 1 && peer.suspectPieces >= badPiecesMax;
      if (isProven || peer.suspectPieces >= suspectPiecesMax)
        this.#strike(peer, "it sent pieces that failed their hash");
    }
  }

  #freeBuffer(index: number): void {
    const buffer = this.#buffers.get(index);
    if (buffer) this.#host.budget.give(buffer);
    this.#buffers.delete(index);
  }

  readonly #mayOpen = (index: number): boolean => {
    const pieceBytes = pieceBytesOf(this.#info as TorrentInfo, index);
    return this.#buffers.size === 0 || this.#host.budget.mayOpen(pieceBytes);
  };

  #requestFrom(peer: Peer): void {
    const picker = this.#picker;
    if (!picker || !peer.has || peer.choking || !peer.amInterested || this.#failed || peer.closed) return;
    const nowMs = this.#host.clock.now();
    if (nowMs < peer.restUntilMs) return;
    const depth = peer.requestDepth(nowMs);
    const room = depth - peer.requestsLive;
    if (room <= 0 || room < Math.min(depth / refillShare, peer.requestsLive)) return;
    const blocks = picker.pick(peer, peer.has, room, this.#mayOpen);
    for (const { index } of blocks) this.#ensureBuffer(index);
    peer.request(blocks);
  }

  #ensureBuffer(index: number): void {
    if (this.#buffers.has(index)) return;
    this.#buffers.set(index, this.#host.budget.take(pieceBytesOf(this.#info as TorrentInfo, index)));
  }

  #requestFromAll(): void {
    for (const peer of this.#peers) this.#requestFrom(peer);
  }

  #releaseRequests(peer: Peer): void {
    for (const { index, begin } of peer.releaseRequests()) this.#picker?.release(peer, index, begin);
  }

  // --- sources

  openPiece(feed: SourceFeed): { index: number; offset: number; length: number } | undefined {
    const index = this.#picker?.pickPiece(feed, this.#mayOpen);
    if (index === undefined) return undefined;
    this.#ensureBuffer(index);
    const info = this.#info as TorrentInfo;
    return { index, offset: index * info.pieceLengthBytes, length: pieceBytesOf(info, index) };
  }

  deliverPiece(feed: SourceFeed, index: number, bytes: Uint8Array): boolean {
    const nowMs = this.#host.clock.now();
    this.#sourceBytes += bytes.length;
    this.#down.add(bytes.length, nowMs);
    const failuresBefore = this.#verifyFailures;
    for (let begin = 0; begin < bytes.length; begin += blockBytes) {
      // Peers may have sent some of it meanwhile, and even ended it.
      if (!this.#picker?.isWanted(index, begin)) continue;
      const length = Math.min(blockBytes, bytes.length - begin);
      this.#buffers.get(index)?.set(bytes.subarray(begin, begin + length), begin);
      this.#progressAtMs = nowMs;
      const { others, contributors } = this.#picker.receive(feed, index, begin);
      for (const other of others) if (isPeer(other)) other.cancel({ index, begin, length });
      for (const peer of this.#peers) peer.dropArriving(index, begin);
      if (contributors) this.#endPiece(index, contributors);
    }
    return this.#verifyFailures === failuresBefore;
  }

  abandonPiece(feed: SourceFeed, index: number): void {
    const pieceBytes = this.#info ? pieceBytesOf(this.#info, index) : 0;
    for (let begin = 0; begin < pieceBytes; begin += blockBytes) this.#picker?.release(feed, index, begin);
  }

  sourceFailed(source: PieceSource, error: Error): void {
    this.#host.log.debug({ source: source.name, infohash: this.infohash, error: error.message }, "source failed");
    this.emit("sourceError", source, error);
  }

  // --- time

  #tick(): void {
    const nowMs = this.#host.clock.now();
    this.#dropSilentPeers(nowMs);
    this.#dropSlowMetadata(nowMs);
    if (!this.#completed) this.#connect(nowMs);
    if (nowMs - this.#rechokedAtMs > rechokeIntervalMs) this.#rechoke();
    if (nowMs >= this.#nextAnnounceAtMs) this.#announce(nowMs);
    this.#requestFromAll();
    this.#cancelTick = this.#host.clock.after(tickMs, () => this.#tick());
  }

  #dropSilentPeers(nowMs: number): void {
    for (const peer of this.#pending) {
      if (nowMs - peer.connectedAtMs > handshakeTimeoutMs) peer.close(new Error("no handshake in time"));
    }
    for (const peer of this.#peers) {
      peer.keepAlive(nowMs, keepAliveIntervalMs);
      if (nowMs - peer.lastHeardAtMs > idleTimeoutMs) peer.close(new Error("silent for too long"));
      else if (peer.isOverdue(nowMs)) {
        this.#releaseRequests(peer);
        // A second chance after a pause, while others do its work.
        peer.restUntilMs = nowMs + uselessPeerMs / 12;
      }
    }
  }

  #dropSlowMetadata(nowMs: number): void {
    if (!this.#metadata || nowMs - this.#metadata.askedAtMs < metadataTimeoutMs) return;
    this.#metadata.peer.extensions.metadataBytes = 0;
    this.#metadata = undefined;
    this.#askForMetadata();
  }

  #connect(nowMs: number): void {
    while (
      this.#pending.size < connectsPerTorrentMax &&
      this.#peers.size + this.#pending.size < connectionsPerTorrentMax
    ) {
      const endpoint = this.#book.next(nowMs);
      if (!endpoint) return;
      const peer = this.#host.connect(endpoint, this);
      if (!peer) {
        this.#book.ended(endpoint, nowMs);
        return;
      }
      this.#pending.add(peer);
      peer.send(encodeHandshake(this.infohash, this.#host.peerId));
    }
  }

  #announce(nowMs: number): void {
    this.#host.announce(this.infohash);
    const settled = this.#completed || this.#peers.size >= peersEnough;
    const waitMs = settled ? announceMsSettled : this.#announceWaitMs;
    this.#announceWaitMs = Math.min(this.#announceWaitMs * 2, announceMsMax);
    // Jitter keeps nodes that started together from asking together for ever.
    this.#nextAnnounceAtMs = nowMs + waitMs * (0.75 + this.#host.random() / 2);
  }

  #rechoke(): void {
    const nowMs = this.#host.clock.now();
    this.#rechokedAtMs = nowMs;
    const served = [...this.#peers].map((peer) => ({
      peer,
      interested: peer.interested,
      unchoked: !peer.amChoking,
      changedAtMs: peer.chokeChangedAtMs,
      bytesPerSecond: peer.up.bytesPerSecond(nowMs),
    }));
    const chosen = chooseUnchoked(served, unchokedMax);
    for (const { peer } of served) peer.setChoking(!chosen.has(peer));
  }
}

function isPeer(requester: Requester): requester is Peer {
  return !(requester instanceof SourceFeed);
}

function piecesFrom(pieces: "all" | "none" | Uint8Array, count: number): Bitfield {
  if (pieces === "all") return Bitfield.full(count);
  if (pieces === "none") return new Bitfield(count);
  return Bitfield.fromBytes(pieces, count);
}
