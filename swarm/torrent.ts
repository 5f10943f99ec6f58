/**
 * One torrent: the sole owner of its state. Sockets, disk, DHT and timers report here. It keeps the connections, and
 * leaves the info dictionary's traffic to MetadataExchange and the pieces' to PieceExchange.
 *
 *     magnet only -> metadata from a peer -> storage opened -> pieces -> complete, and seeding all along
 */
import { EventEmitter } from "node:events";
import { AnnounceSchedule } from "./announce-schedule.ts";
import { chooseUnchoked } from "./choker.ts";
import { keyOf } from "./endpoint.ts";
import { encodeExtensionHandshake, extensionHandshakeId, extensionsFrom, ourMetadataId } from "./extension.ts";
import {
  connectionsPerTorrentMax,
  connectsPerTorrentMax,
  handshakeTimeoutMs,
  idleTimeoutMs,
  keepAliveIntervalMs,
  rechokeIntervalMs,
  strikeOffMs,
  unchokedMax,
} from "./limits.ts";
import { MetadataExchange } from "./metadata-exchange.ts";
import { torrentInfoFromInfoBytes } from "./metainfo.ts";
import type { Peer, PeerOwner } from "./peer.ts";
import { PeerBook } from "./peer-book.ts";
import { PieceExchange } from "./piece-exchange.ts";
import { RateMeter } from "./rate.ts";
import type { TorrentHost } from "./torrent-host.ts";
import type {
  AddTorrentOptions,
  Endpoint,
  PieceSource,
  PieceStorage,
  TorrentEvents,
  TorrentInfo,
  TorrentStatus,
} from "./types.ts";
import { type Block, encodeExtended, encodeHandshake, type Handshake, WireError, type WireMessage } from "./wire.ts";

/** How often timeouts, connections and slots are looked after. */
const tickMs = 250;
/** With this many peers there is no hurry to find more. */
const peersEnough = 20;
/** A peer that was of no use to us is left alone for this long. */
const uselessPeerMs = 60_000;
/** Have messages kept for a torrent whose size is not known yet; a bitfield would have said more. */
const earlyHavesMax = 4_096;

export class Torrent extends EventEmitter<TorrentEvents> implements PeerOwner {
  readonly infohash: string;
  readonly #options: AddTorrentOptions;
  readonly #host: TorrentHost;
  readonly #book: PeerBook;
  /** Peers past their handshake, and connections that are not there yet. */
  readonly #peers = new Set<Peer>();
  readonly #pending = new Set<Peer>();
  readonly #sources = new Set<PieceSource>();
  readonly #metadata: MetadataExchange;
  #info: TorrentInfo | undefined;
  #storage: PieceStorage | undefined;
  #pieces: PieceExchange | undefined;
  #opening: Promise<void> = Promise.resolve();
  readonly #abort = new AbortController();
  #cancelTick: () => void = () => {};
  readonly #announcements: AnnounceSchedule;
  #rotatedAtMs = 0;
  #progressAtMs: number;
  readonly #down: RateMeter;
  readonly #up: RateMeter;
  readonly #received = { peer: 0, source: 0 };
  #verifyFailures = 0;
  #isStarted = false;
  #completed = false;
  #failed = false;
  #closing: Promise<void> | undefined;

  constructor(options: AddTorrentOptions, host: TorrentHost) {
    super();
    this.infohash = options.infohash;
    this.#options = options;
    this.#host = host;
    const nowMs = host.clock.now();
    this.#book = new PeerBook(host.random);
    this.#announcements = new AnnounceSchedule(host.random);
    this.#down = new RateMeter(nowMs);
    this.#up = new RateMeter(nowMs);
    this.#progressAtMs = nowMs;
    this.#metadata = new MetadataExchange({
      infohash: options.infohash,
      clock: host.clock,
      expectedLengthBytes: options.expectedLengthBytes,
      peers: this.#peers,
      onInfoBytes: (infoBytes) => this.#learnInfo(infoBytes),
    });
    for (const endpoint of options.peers ?? []) {
      if (!host.isOwn(endpoint)) this.#book.add(endpoint, nowMs, { isGiven: true });
    }
    // The first tick comes in its own turn, so that the caller can listen for events first.
    this.#cancelTick = host.clock.after(0, () => {
      this.#isStarted = true;
      if (options.info) this.#useInfo(options.info);
      this.#tick();
    });
  }

  get info(): TorrentInfo | undefined {
    return this.#info;
  }

  /** A peer's address, from the DHT or elsewhere. */
  addPeer(endpoint: Endpoint): void {
    const nowMs = this.#host.clock.now();
    if (this.#host.isOwn(endpoint) || this.#host.isStruck(endpoint) || !this.#book.add(endpoint, nowMs)) return;
    if (this.#isStarted && !this.#completed && !this.#failed && !this.#closing) this.#connect(nowMs);
  }

  /** Announces anew at the next tick, as when the DHT has got its first nodes. */
  announceSoon(): void {
    this.#announcements.hasten();
  }

  /** Whether a further inbound connection may come in. */
  get hasPlace(): boolean {
    return !this.#closing && !this.#failed && this.#peers.size < connectionsPerTorrentMax;
  }

  /** Adds a source beside the peers, such as HTTP; the function returned takes it away again. */
  addSource(source: PieceSource): () => void {
    this.#sources.add(source);
    this.#pieces?.addSource(source);
    return () => {
      this.#sources.delete(source);
      this.#pieces?.removeSource(source);
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
      swarmBytes: this.#received.peer,
      sourceBytes: this.#received.source,
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
    this.#disconnect();
    await this.#opening;
    try {
      await this.#pieces?.stop();
      await this.#storage?.close();
    } finally {
      // Also where the last flush found the disk full: what could be kept is kept, and nothing is held any more.
      this.#host.removed(this.infohash);
    }
  }

  #fail(error: Error): void {
    if (this.#failed || this.#closing) return;
    this.#failed = true;
    this.#disconnect();
    void this.#pieces?.stop();
    this.#host.log.warn({ infohash: this.infohash, error: error.message }, "the torrent has failed");
    // An emitter throws an error that nobody listens for.
    if (this.listenerCount("error") > 0) this.emit("error", error);
  }

  #disconnect(): void {
    this.#cancelTick();
    for (const peer of [...this.#peers, ...this.#pending]) peer.close();
  }

  // --- info and storage

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
    if (!this.#failed) this.emit("info", info);
  }

  #useInfo(info: TorrentInfo): void {
    const { expectedLengthBytes } = this.#options;
    if (expectedLengthBytes !== undefined && info.lengthBytes !== expectedLengthBytes) {
      const difference = `${info.lengthBytes} bytes where ${expectedLengthBytes} were expected`;
      this.#fail(new Error(`the torrent ${this.infohash} has ${difference}`));
      return;
    }
    this.#info = info;
    this.#metadata.infoBytes = info.infoBytes;
    // Peers that came before were told that we lack it: now they can ask us.
    for (const peer of [...this.#peers]) this.#sendExtensionHandshake(peer);
    this.#opening = this.#openStorage(info);
  }

  async #openStorage(info: TorrentInfo): Promise<void> {
    const { dataPath, havePath, complete = false } = this.#options;
    const { signal } = this.#abort;
    try {
      this.#storage = await this.#host.openStorage({ info, dataPath, havePath, complete }, signal);
    } catch (error) {
      if (!signal.aborted) this.#fail(error as Error);
      return;
    }
    if (signal.aborted || this.#failed) return;
    this.#storage.onFault = (error) => this.#fail(error);
    this.#pieces = this.#openPieces(info, this.#storage);
    for (const source of this.#sources) this.#pieces.addSource(source);
    for (const peer of this.#peers) this.#pieces.greet(peer);
    this.#checkComplete();
  }

  #openPieces(info: TorrentInfo, storage: PieceStorage): PieceExchange {
    const { clock, random, log, budget } = this.#host;
    return new PieceExchange({
      ...{ info, storage, clock, random, log, budget },
      peers: this.#peers,
      strike: (peer, reason) => this.#strike(peer, reason),
      onProgress: (bytes, from) => this.#countReceived(bytes, from),
      onVerifyFailure: () => {
        this.#verifyFailures++;
        this.#host.countVerifyFailure();
      },
      onPiece: (index) => {
        this.emit("piece", index);
        this.#checkComplete();
      },
      onFault: (error) => this.#fail(error),
      onSourceError: (source, error) => this.emit("sourceError", source, error),
    });
  }

  #countReceived(bytes: number, from: "peer" | "source"): void {
    const nowMs = this.#host.clock.now();
    this.#progressAtMs = nowMs;
    this.#received[from] += bytes;
    this.#down.add(bytes, nowMs);
    if (from === "peer") this.#host.countReceived(bytes);
  }

  #checkComplete(): void {
    if (this.#completed || !this.#storage || !this.#pieces?.isComplete) return;
    this.#completed = true;
    this.#announcements.hasten();
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
    const fault = this.#handshakeFault(peer, handshake);
    if (fault) {
      peer.close(new Error(fault));
      return;
    }
    this.#peers.add(peer);
    if (peer.listens) this.#book.connected(peer.listens, this.#host.clock.now());
    this.#sendExtensionHandshake(peer);
    this.#pieces?.greet(peer);
  }

  #sendExtensionHandshake(peer: Peer): void {
    if (!peer.extended) return;
    const payload = encodeExtensionHandshake(this.#host.peerPort, this.#info?.infoBytes.length ?? 0);
    peer.send(encodeExtended(extensionHandshakeId, payload));
  }

  #handshakeFault(peer: Peer, handshake: Handshake): string | undefined {
    const ownId = Buffer.from(this.#host.peerId).toString("hex");
    if (handshake.infohash !== this.infohash) return "the peer answered for another torrent";
    if (peer.id === ownId) {
      if (peer.direction === "outbound") this.#host.noteOwn(peer.endpoint);
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
    this.#pending.delete(peer);
    const wasPeer = this.#peers.delete(peer);
    if (error)
      this.#host.log.debug({ peer: peer.endpoint, infohash: this.infohash, error: error.message }, "peer lost");
    this.#noteEnd(peer, wasPeer);
    if (!wasPeer) return;
    if (error instanceof WireError) this.#strike(peer, error.message);
    this.#metadata.peerLeft(peer);
    this.#pieces?.peerLeft(peer);
    this.#rechoke(false);
  }

  /** When the address may be dialled again. */
  #noteEnd(peer: Peer, wasPeer: boolean): void {
    if (!peer.listens) return;
    if (this.#host.isOwn(peer.listens)) {
      this.#book.forget(peer.listens);
      return;
    }
    // Of two connections to one peer, the other goes on.
    const key = keyOf(peer.listens);
    for (const { listens } of this.#peers) if (listens && keyOf(listens) === key) return;
    // It has said what it has, and we have it. Of one that had not come to that, nothing is known.
    const wasUseless = this.#completed || (peer.usefulPieces === 0 && (peer.has?.count ?? 0) > 0);
    this.#book.ended(peer.listens, this.#host.clock.now(), wasPeer && wasUseless ? uselessPeerMs : 0);
  }

  #strike(peer: Peer, reason: string): void {
    this.#host.strike(peer, reason);
    peer.close(new Error(reason));
    if (peer.listens) this.#book.struckOff(peer.listens, this.#host.clock.now(), strikeOffMs);
  }

  // --- messages

  onMessage(peer: Peer, message: WireMessage): void {
    switch (message.type) {
      case "choke":
        peer.choking = true;
        this.#pieces?.onChoke(peer);
        break;
      case "unchoke":
        peer.choking = false;
        this.#pieces?.onUnchoke(peer);
        break;
      case "interested":
      case "notInterested":
        this.#onInterest(peer, message.type === "interested");
        break;
      case "have":
        if (this.#pieces) this.#pieces.onHave(peer, message.index);
        else if (peer.earlyHaves.length < earlyHavesMax) peer.earlyHaves.push(message.index);
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
        if (this.#pieces) this.#pieces.onRequest(peer, message);
        else peer.refuse(message);
        break;
      case "cancel":
        peer.cancelUpload(message);
        break;
      case "reject":
        this.#pieces?.onReject(peer, message);
        break;
      case "extended":
        this.#onExtended(peer, message.id, message.payload);
        break;
      case "keepAlive":
        break;
    }
  }

  #onInterest(peer: Peer, interested: boolean): void {
    if (peer.interested === interested) return;
    peer.interested = interested;
    peer.chokeChangedAtMs = this.#host.clock.now();
    this.#rechoke(false);
  }

  #onPieces(peer: Peer, pieces: "all" | "none" | Uint8Array): void {
    if (this.#pieces) this.#pieces.onPieces(peer, pieces);
    else peer.earlyPieces = pieces;
  }

  #onExtended(peer: Peer, id: number, payload: Uint8Array): void {
    try {
      if (id === extensionHandshakeId) this.#onExtensionHandshake(peer, payload);
      else if (id === ourMetadataId) this.#metadata.onPayload(peer, payload);
    } catch (error) {
      this.#strike(peer, (error as Error).message);
    }
  }

  #onExtensionHandshake(peer: Peer, payload: Uint8Array): void {
    const { peerPort, ...extensions } = extensionsFrom(payload);
    // It may be sent again (BEP 10), such as once the peer has the metadata; what it leaves out stays as it was.
    peer.extensions = {
      metadataId: extensions.metadataId || peer.extensions.metadataId,
      metadataBytes: extensions.metadataBytes || peer.extensions.metadataBytes,
    };
    if (!peer.listens && peerPort > 0) {
      peer.listens = { host: peer.endpoint.host, port: peerPort };
      this.#book.connected(peer.listens, this.#host.clock.now());
    }
    this.#metadata.ask();
  }

  onBlockStart(peer: Peer, index: number, begin: number, length: number): Uint8Array | undefined {
    return this.#pieces?.onBlockStart(peer, { index, begin, length });
  }

  onBlockEnd(peer: Peer, block: Block, kept: boolean): void {
    this.#pieces?.onBlockEnd(peer, block, kept);
  }

  onReadError(peer: Peer, block: Block, error: Error): undefined {
    const { infohash } = this;
    this.#host.log.warn(
      { infohash, piece: block.index, peer: peer.endpoint, error: error.message },
      "cannot read a piece",
    );
  }

  onSent(_peer: Peer, bytes: number): void {
    this.#up.add(bytes, this.#host.clock.now());
    this.#host.countSent(bytes);
  }

  // --- time

  #tick(): void {
    if (this.#failed || this.#closing) return;
    const nowMs = this.#host.clock.now();
    this.#dropSilentPeers(nowMs);
    this.#metadata.tick(nowMs);
    if (!this.#completed) this.#connect(nowMs);
    if (nowMs - this.#rotatedAtMs > rechokeIntervalMs) this.#rechoke(true);
    if (this.#announcements.isDue(nowMs)) this.#announce(nowMs);
    this.#pieces?.requestFromAll();
    this.#cancelTick = this.#host.clock.after(tickMs, () => this.#tick());
  }

  #dropSilentPeers(nowMs: number): void {
    for (const peer of this.#pending) {
      if (nowMs - peer.connectedAtMs > handshakeTimeoutMs) peer.close(new Error("no handshake in time"));
    }
    for (const peer of this.#peers) {
      peer.keepAlive(nowMs, keepAliveIntervalMs);
      if (nowMs - peer.lastHeardAtMs > idleTimeoutMs) peer.close(new Error("silent for too long"));
      else if (peer.isOverdue(nowMs)) this.#pieces?.onOverdue(peer, nowMs);
      else this.#pieces?.releaseStale(peer, nowMs);
    }
  }

  #connect(nowMs: number): void {
    while (this.#pending.size < connectsPerTorrentMax && this.#connections < connectionsPerTorrentMax) {
      const endpoint = this.#book.next(nowMs);
      if (!endpoint) return;
      if (this.#host.isOwn(endpoint)) {
        this.#book.forget(endpoint);
        continue;
      }
      if (this.#host.isStruck(endpoint)) {
        this.#book.struckOff(endpoint, nowMs, strikeOffMs);
        continue;
      }
      const peer = this.#host.connect(endpoint, this);
      if (!peer) {
        this.#book.postponed(endpoint, nowMs);
        return;
      }
      this.#pending.add(peer);
      peer.send(encodeHandshake(this.infohash, this.#host.peerId));
    }
  }

  get #connections(): number {
    return this.#peers.size + this.#pending.size;
  }

  #announce(nowMs: number): void {
    this.#host.announce(this.infohash);
    this.#announcements.announced(nowMs, this.#completed || this.#peers.size >= peersEnough);
  }

  #rechoke(rotate: boolean): void {
    const nowMs = this.#host.clock.now();
    if (rotate) this.#rotatedAtMs = nowMs;
    const served = [...this.#peers].map((peer) => ({
      peer,
      interested: peer.interested,
      unchoked: !peer.amChoking,
      changedAtMs: peer.chokeChangedAtMs,
      bytesPerSecond: peer.up.bytesPerSecond(nowMs),
    }));
    const chosen = chooseUnchoked(served, unchokedMax, rotate);
    for (const { peer } of served) peer.setChoking(!chosen.has(peer));
  }
}
