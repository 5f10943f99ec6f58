/**
 * One torrent: the sole owner of its state. Sockets, disk, DHT and timers report here. It keeps the connections, and
 * leaves the info dictionary's traffic to MetadataExchange and the pieces' to PieceExchange.
 *
 *     magnet only -> metadata from a peer -> storage opened -> pieces -> complete, and seeding all along
 */
import { createHash } from "node:crypto";
import { EventEmitter } from "node:events";
import { AnnounceSchedule } from "./announce-schedule.ts";
import type { Bitfield } from "./bitfield.ts";
import { chooseUnchoked } from "./choker.ts";
import type { Want } from "./demand.ts";
import { PeerExchange } from "./exchange.ts";
import {
  encodeExtensionHandshake,
  extensionHandshakeId,
  extensionsFrom,
  ourMetadataId,
  ourPexId,
} from "./extension.ts";
import { badSendersMax, rechokeIntervalMs, rechokeIntervalMsMin, unchokedMax } from "./limits.ts";
import { Locality } from "./locality.ts";
import { MetadataExchange } from "./metadata-exchange.ts";
import { torrentInfoFromInfoBytes } from "./metainfo.ts";
import { Neighbours } from "./neighbours.ts";
import type { Peer, PeerOwner } from "./peer.ts";
import type { Naming } from "./peer-book.ts";
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
/** The same where nothing is missing and nobody is connected: most torrents of a node, most of the time. */
const restingTickMs = 5_000;
/** With this many peers there is no hurry to find more. */
const peersEnough = 20;
/** Have messages kept for a torrent whose size is not known yet; a bitfield would have said more. */
const earlyHavesMax = 4_096;

export class Torrent extends EventEmitter<TorrentEvents> implements PeerOwner {
  readonly infohash: string;
  readonly #options: AddTorrentOptions;
  readonly #host: TorrentHost;
  readonly #neighbours: Neighbours;
  readonly #exchange: PeerExchange;
  readonly #sources = new Set<PieceSource>();
  readonly #metadata: MetadataExchange;
  #info: TorrentInfo | undefined;
  #storage: PieceStorage | undefined;
  #pieces: PieceExchange | undefined;
  #opening: Promise<void> = Promise.resolve();
  readonly #abort = new AbortController();
  #cancelTick: () => void = () => {};
  #isResting = false;
  readonly #announcements: AnnounceSchedule;
  #rotatedAtMs = 0;
  #rechokedAtMs = Number.NEGATIVE_INFINITY;
  #cancelRechoke: (() => void) | undefined;
  #progressAtMs: number;
  readonly #down: RateMeter;
  readonly #up: RateMeter;
  readonly #received = { peer: 0, source: 0 };
  #farBytes = 0;
  #verifyFailures = 0;
  /** Who sent pieces that failed their hash, or parts of them, and how many. */
  readonly #badSenders = new Map<string, number>();
  #want: Want = { now: [], ahead: [] };
  #wantedAtMs: number | undefined;
  #order: readonly number[] = [];
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
    const isLooking = () => !this.#completed;
    this.#neighbours = new Neighbours({ infohash: options.infohash, host, owner: this, isLooking });
    const { peers } = this.#neighbours;
    this.#announcements = new AnnounceSchedule(host.random);
    this.#down = new RateMeter(nowMs);
    this.#up = new RateMeter(nowMs);
    this.#progressAtMs = nowMs;
    this.#metadata = new MetadataExchange({
      infohash: options.infohash,
      clock: host.clock,
      expectedLengthBytes: options.expectedLengthBytes,
      peers,
      onInfoBytes: (infoBytes) => this.#learnInfo(infoBytes),
    });
    this.#exchange = new PeerExchange({
      ...{ clock: host.clock, random: host.random, zone: host.zone, peers },
      onAddresses: (endpoints, from) => this.#hear(endpoints, from),
    });
    for (const endpoint of options.peers ?? []) this.#neighbours.name(endpoint, { isGiven: true });
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
  addPeer(endpoint: Endpoint, naming: Naming = {}): void {
    if (this.#neighbours.name(endpoint, naming)) this.#dial();
  }

  /** Announces anew, as when the DHT has got its first nodes. */
  announceSoon(): void {
    this.#announcements.hasten();
    if (this.#isRunning) this.#announce(this.#host.clock.now());
  }

  get isComplete(): boolean {
    return this.#completed;
  }

  /** The pieces that are verified and on disk; undefined until the data is open. Not to be changed. */
  get have(): Bitfield | undefined {
    return this.#storage?.have;
  }

  /** Whether what is here may be lost although it can be read: a sync has failed. */
  get isInDoubt(): boolean {
    return this.#storage?.isInDoubt ?? false;
  }

  /**
   * Says which pieces somebody waits for from now on, and which will probably be next: they come before everything else.
   * It holds until it is said anew, also for what has yet to be known of the torrent.
   */
  want(want: Want): void {
    const isWaiting = want.now.length > 0;
    if (!isWaiting) this.#wantedAtMs = undefined;
    else this.#wantedAtMs ??= this.#host.clock.now();
    this.#want = want;
    this.#pieces?.want(want);
  }

  /**
   * Says in which order pieces are to come where nobody waits for one, such as that of a boot; the rarest come after them.
   * For nodes that will read in this order: while all fetch in one order, they have less to trade.
   */
  setOrder(pieces: readonly number[]): void {
    this.#order = pieces;
    this.#pieces?.setOrder(pieces);
  }

  /** Before the data is open nobody knows yet what of it is here. */
  #demandWaitedMs(nowMs: number): number {
    if (this.#pieces) return this.#pieces.demandWaitedMs;
    return this.#wantedAtMs === undefined ? 0 : nowMs - this.#wantedAtMs;
  }

  /** Pieces not here that no connected peer has; 0 while the pieces are not known. It is counted anew each time. */
  get lackingPieces(): number {
    return this.#pieces?.lackingPieces ?? 0;
  }

  /** Whether a connected peer has pieces that are missing here. */
  get isAnyPeerUseful(): boolean {
    for (const peer of this.#neighbours.peers) if (peer.usefulPieces > 0) return true;
    return false;
  }

  /** Who sent pieces that failed their hash, or parts of them, and how many: some of them, if they are many. */
  get badSenders(): ReadonlyMap<string, number> {
    return this.#badSenders;
  }

  /**
   * Takes the info dictionary from elsewhere than a peer, such as a .torrent file.
   *
   * @returns false if it is not this torrent's
   */
  takeInfo(infoBytes: Uint8Array): boolean {
    if (createHash("sha1").update(infoBytes).digest("hex") !== this.infohash) return false;
    if (!this.#info && this.#isRunning) this.#learnInfo(infoBytes);
    return true;
  }

  /** Connections that there are, and those that are being made. */
  get connections(): number {
    return this.#neighbours.count;
  }

  /** Whether a further inbound connection may come in; a neighbour of little worth gives way to it. */
  makePlace(host: string): boolean {
    return !this.#closing && !this.#failed && this.#neighbours.makePlace(host);
  }

  /** Gives up a connection, so that another torrent can have it; false if there is none. */
  giveUpOne(): boolean {
    return this.#neighbours.giveUpOne();
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
      zeroBytes: this.#storage?.zeroBytes ?? 0,
      complete: this.#completed,
      peers: this.#neighbours.peers.size,
      peersSeen: this.#neighbours.seen,
      swarmBytes: this.#received.peer,
      farBytes: this.#farBytes,
      sourceBytes: this.#received.source,
      sentBytes: this.#up.total,
      downBytesPerSecond: this.#down.bytesPerSecond(nowMs),
      upBytesPerSecond: this.#up.bytesPerSecond(nowMs),
      verifyFailures: this.#verifyFailures,
      demandWaitedMs: this.#demandWaitedMs(nowMs),
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
    this.#neighbours.closeAll();
    this.#cancelRechoke?.();
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
    for (const peer of [...this.#neighbours.peers]) this.#sendExtensionHandshake(peer);
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
    const { repair } = this.#storage;
    if (repair) this.#host.log.info({ infohash: this.infohash, ...repair }, "looked at the pieces that were in doubt");
    this.#pieces = this.#openPieces(info, this.#storage);
    for (const source of this.#sources) this.#pieces.addSource(source);
    this.emit("opened");
    this.#pieces.setOrder(this.#order);
    for (const peer of this.#neighbours.peers) this.#pieces.greet(peer);
    this.#pieces.want(this.#want);
    this.#checkComplete();
  }

  #openPieces(info: TorrentInfo, storage: PieceStorage): PieceExchange {
    const { clock, random, log, budget, lastDemand } = this.#host;
    return new PieceExchange({
      ...{ info, storage, clock, random, log, budget, lastDemand },
      peers: this.#neighbours.peers,
      locality: this.#locality(info),
      strike: (peer, reason) => this.#strike(peer, reason),
      blame: (peer) => this.#host.blame(peer),
      onProgress: (bytes, from) => this.#countReceived(bytes, from),
      onVerifyFailure: (from) => {
        this.#verifyFailures++;
        for (const sender of from) {
          const count = this.#badSenders.get(sender) ?? 0;
          if (count > 0 || this.#badSenders.size < badSendersMax) this.#badSenders.set(sender, count + 1);
        }
        this.#host.countVerifyFailure();
      },
      onWasted: (bytes) => this.#host.countWasted(bytes),
      onHedged: (blocks) => this.#host.countHedged(blocks),
      onDemanded: (bytes, from) => this.#host.countDemanded(bytes, from),
      hedging: this.#host.hedging,
      paces: [this.#host.downloadLimit, ...(this.#options.pace ? [this.#options.pace] : [])],
      onPiece: (index) => {
        this.emit("piece", index);
        this.#checkComplete();
      },
      onFault: (error) => this.#fail(error),
      onSourceError: (source, error) => this.emit("sourceError", source, error),
    });
  }

  #locality(info: TorrentInfo): Locality<Peer> | undefined {
    const { zone } = this.#host;
    if (zone === undefined) return undefined;
    const ownId = Buffer.from(this.#host.peerId).toString("hex");
    return new Locality({ zone, ownId, pieceCount: info.pieceCount, peers: this.#neighbours.peers });
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
    if (!this.#neighbours.admit(peer, handshake)) return;
    if (this.#isResting) this.#scheduleTick();
    this.#sendExtensionHandshake(peer);
    this.#pieces?.greet(peer);
  }

  #sendExtensionHandshake(peer: Peer): void {
    if (!peer.extended) return;
    const { peerPort, zone } = this.#host;
    const metadataBytes = this.#info?.infoBytes.length ?? 0;
    peer.send(encodeExtended(extensionHandshakeId, encodeExtensionHandshake({ peerPort, zone, metadataBytes })));
  }

  onClose(peer: Peer, error: Error | undefined): void {
    const wasPeer = this.#neighbours.left(peer);
    if (error)
      this.#host.log.debug({ peer: peer.endpoint, infohash: this.infohash, error: error.message }, "peer lost");
    if (!wasPeer) return;
    if (error instanceof WireError) this.#strike(peer, error.message);
    this.#metadata.peerLeft(peer);
    this.#exchange.peerLeft(peer);
    this.#pieces?.peerLeft(peer);
    this.#rechokeSoon();
  }

  #strike(peer: Peer, reason: string): void {
    this.#host.strike(peer, reason);
    peer.close(new Error(reason));
    this.#neighbours.struck(peer);
  }

  // --- messages

  onMessage(peer: Peer, message: WireMessage): void {
    if (message.type !== "request" && !peer.signals.admits(peer.lastHeardAtMs)) {
      this.#strike(peer, "it floods us with messages");
      return;
    }
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
      case "suggest":
        this.#pieces?.onSuggest(peer, message.index);
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
        else peer.refuse([message]);
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
    // Interest comes and goes with every piece; it matters to the slots only where someone waits for one.
    const isOfConsequence = interested ? peer.amChoking : this.#neighbours.peers.size > unchokedMax;
    if (isOfConsequence) this.#rechokeSoon();
  }

  #onPieces(peer: Peer, pieces: "all" | "none" | Uint8Array): void {
    if (this.#pieces) this.#pieces.onPieces(peer, pieces);
    else peer.earlyPieces = pieces;
  }

  #onExtended(peer: Peer, id: number, payload: Uint8Array): void {
    try {
      if (id === extensionHandshakeId) this.#onExtensionHandshake(peer, payload);
      else if (id === ourMetadataId) this.#metadata.onPayload(peer, payload);
      else if (id === ourPexId) this.#exchange.onPayload(peer, payload);
    } catch (error) {
      this.#strike(peer, (error as Error).message);
    }
  }

  #onExtensionHandshake(peer: Peer, payload: Uint8Array): void {
    const { peerPort, zone, ...extensions } = extensionsFrom(payload);
    // It may be sent again (BEP 10), such as once the peer has the metadata; what it leaves out stays as it was.
    const known = peer.extensions;
    peer.extensions = {
      metadataId: extensions.metadataId || known.metadataId,
      metadataBytes: extensions.metadataBytes || known.metadataBytes,
      pexId: extensions.pexId || known.pexId,
      takesQuickPex: extensions.takesQuickPex || known.takesQuickPex,
    };
    peer.zone ??= zone;
    this.#neighbours.placed(peer, peerPort);
    this.#exchange.peerChanged(peer);
    this.#metadata.ask();
  }

  /** Addresses that a peer told. */
  #hear(endpoints: readonly Endpoint[], from: Peer): void {
    if (this.#completed) return;
    const isNear = from.zone !== undefined && from.zone === this.#host.zone;
    for (const endpoint of endpoints) this.#neighbours.name(endpoint, { isHearsay: true, isNear });
    this.#dial();
  }

  onBlockStart(peer: Peer, index: number, begin: number, length: number): Uint8Array | undefined {
    return this.#pieces?.onBlockStart(peer, { index, begin, length });
  }

  onBlockEnd(peer: Peer, block: Block, kept: boolean): void {
    if (!this.#neighbours.isNear(peer)) this.#farBytes += block.length;
    this.#pieces?.onBlockEnd(peer, block, kept);
  }

  onReadError(peer: Peer, blocks: readonly Block[], error: Error): void {
    const { infohash } = this;
    const [first] = blocks;
    this.#host.log.warn(
      { infohash, piece: first?.index, peer: peer.endpoint, error: error.message },
      "cannot read a piece",
    );
    if (first) this.#host.readFailed(infohash, first.index, error);
  }

  onSent(_peer: Peer, bytes: number): void {
    this.#up.add(bytes, this.#host.clock.now());
    this.#host.countSent(bytes);
  }

  // --- time

  #tick(): void {
    if (this.#failed || this.#closing) return;
    const nowMs = this.#host.clock.now();
    this.#neighbours.dropSilent(nowMs);
    this.#neighbours.exchangeOne(nowMs);
    this.#neighbours.dial(nowMs);
    this.#releaseOverdue(nowMs);
    this.#metadata.tick(nowMs);
    this.#exchange.tick(nowMs);
    if (nowMs - this.#rotatedAtMs > rechokeIntervalMs) this.#rechoke(true);
    if (this.#announcements.isDue(nowMs, this.#isSettled)) this.#announce(nowMs);
    this.#pieces?.tick();
    this.#scheduleTick();
  }

  #scheduleTick(): void {
    this.#isResting = this.#completed && this.connections === 0;
    this.#cancelTick();
    this.#cancelTick = this.#host.clock.after(this.#isResting ? restingTickMs : tickMs, () => this.#tick());
  }

  #releaseOverdue(nowMs: number): void {
    for (const peer of this.#neighbours.peers) {
      if (peer.requests.isOverdue(nowMs)) this.#pieces?.onOverdue(peer, nowMs);
      else this.#pieces?.releaseStale(peer, nowMs);
    }
  }

  /** Whether it may dial and announce: not before its first tick, nor after its end. */
  get #isRunning(): boolean {
    return this.#isStarted && !this.#failed && !this.#closing;
  }

  #dial(): void {
    if (this.#isRunning) this.#neighbours.dial(this.#host.clock.now());
  }

  #announce(nowMs: number): void {
    this.#host.announce(this.infohash, () => this.#announcements.failed());
    this.#announcements.announced(nowMs, this.#isSettled);
  }

  /** Nobody is looked for in a hurry. */
  get #isSettled(): boolean {
    return this.#completed || this.#neighbours.peers.size >= peersEnough;
  }

  /** Deals out slots that may be free by now: at once, unless that was only just done. */
  #rechokeSoon(): void {
    const waitMs = this.#rechokedAtMs + rechokeIntervalMsMin - this.#host.clock.now();
    if (waitMs <= 0) this.#rechoke(false);
    else this.#cancelRechoke ??= this.#host.clock.after(waitMs, () => this.#rechoke(false));
  }

  #rechoke(rotate: boolean): void {
    const nowMs = this.#host.clock.now();
    this.#cancelRechoke?.();
    this.#cancelRechoke = undefined;
    this.#rechokedAtMs = nowMs;
    if (rotate) this.#rotatedAtMs = nowMs;
    const served = [...this.#neighbours.peers].map((peer) => ({
      peer,
      isNear: this.#neighbours.isNear(peer),
      interested: peer.interested,
      unchoked: !peer.amChoking,
      changedAtMs: peer.chokeChangedAtMs,
      bytesPerSecond: peer.up.bytesPerSecond(nowMs),
    }));
    const chosen = chooseUnchoked(served, unchokedMax, rotate);
    this.#pieces?.serve(chosen);
    for (const { peer } of served) {
      const isWaiting = peer.amChoking && (this.#pieces?.isWaiting(peer) ?? false);
      peer.setChoking(!chosen.has(peer) || isWaiting);
    }
  }
}
