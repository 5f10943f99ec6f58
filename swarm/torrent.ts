/**
 * One torrent: the sole owner of its state. Sockets, disk, DHT and timers report here. It keeps the connections, and
 * leaves what it is of, and the traffic in pieces, to Content, the info dictionary's traffic to MetadataExchange, and whom to
 * serve to Slots.
 *
 *     magnet only -> metadata from a peer -> storage opened -> pieces -> complete, and seeding all along
 */
import { createHash } from "node:crypto";
import { EventEmitter } from "node:events";
import { AnnounceSchedule } from "./announce-schedule.ts";
import type { Bitfield } from "./bitfield.ts";
import { Content } from "./content.ts";
import type { Want } from "./demand.ts";
import { PeerExchange } from "./exchange.ts";
import { ExtensionExchange } from "./extension-exchange.ts";
import { MetadataExchange } from "./metadata-exchange.ts";
import { Neighbours } from "./neighbours.ts";
import type { Peer, PeerOwner } from "./peer.ts";
import type { Naming } from "./peer-book.ts";
import type { PieceExchange } from "./piece-exchange.ts";
import { Slots } from "./slots.ts";
import { Tally } from "./tally.ts";
import type { TorrentHost } from "./torrent-host.ts";
import type { AddTorrentOptions, Endpoint, PieceSource, TorrentEvents, TorrentInfo, TorrentStatus } from "./types.ts";
import { type Block, encodeHandshake, type Handshake, WireError, type WireMessage } from "./wire.ts";

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
  readonly #host: TorrentHost;
  readonly #neighbours: Neighbours;
  readonly #exchange: PeerExchange;
  readonly #metadata: MetadataExchange;
  readonly #extensions: ExtensionExchange;
  readonly #content: Content;
  #cancelTick: () => void = () => {};
  #isResting = false;
  readonly #announcements: AnnounceSchedule;
  readonly #slots: Slots;
  readonly #tally: Tally;
  #isStarted = false;
  #failed = false;
  #closing: Promise<void> | undefined;

  constructor(options: AddTorrentOptions, host: TorrentHost) {
    super();
    this.infohash = options.infohash;
    this.#host = host;
    const isLooking = () => !this.isComplete;
    this.#neighbours = new Neighbours({ infohash: options.infohash, host, owner: this, isLooking });
    const { peers } = this.#neighbours;
    this.#announcements = new AnnounceSchedule(host.random);
    this.#tally = new Tally(host);
    this.#slots = new Slots({
      ...{ clock: host.clock, peers },
      isNear: (peer) => this.#neighbours.isNear(peer),
      serve: (chosen) => this.#pieces?.serve(chosen),
      isWaiting: (peer) => this.#pieces?.isWaiting(peer) ?? false,
    });
    this.#content = new Content({
      ...{ torrent: options, host, peers, tally: this.#tally },
      strike: (peer, reason) => this.#strike(peer, reason),
      onInfo: (info) => this.#onInfo(info),
      onOpened: () => this.emit("opened"),
      onPiece: (index) => this.emit("piece", index),
      onSourceError: (source, error) => this.emit("sourceError", source, error),
      onComplete: () => this.#announcements.hasten(),
      onFlushed: () => this.emit("complete"),
      fail: (error) => this.#fail(error),
      hasFailed: () => this.#failed,
    });
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
    this.#extensions = new ExtensionExchange({
      ...{ host, neighbours: this.#neighbours, metadata: this.#metadata, addresses: this.#exchange },
      metadataBytes: () => this.info?.infoBytes.length ?? 0,
    });
    for (const endpoint of options.peers ?? []) this.#neighbours.name(endpoint, { isGiven: true });
    // The first tick comes in its own turn, so that the caller can listen for events first.
    this.#cancelTick = host.clock.after(0, () => {
      this.#isStarted = true;
      if (options.info) this.#content.use(options.info);
      this.#tick();
    });
  }

  get info(): TorrentInfo | undefined {
    return this.#content.info;
  }

  get #pieces(): PieceExchange | undefined {
    return this.#content.pieces;
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
    return this.#content.isComplete;
  }

  /** The pieces that are verified and on disk; undefined until the data is open. Not to be changed. */
  get have(): Bitfield | undefined {
    return this.#content.storage?.have;
  }

  /** Whether what is here may be lost although it can be read: a sync has failed. */
  get isInDoubt(): boolean {
    return this.#content.storage?.isInDoubt ?? false;
  }

  /**
   * Says which pieces somebody waits for from now on, and which will probably be next: they come before everything else.
   * It holds until it is said anew, also for what has yet to be known of the torrent.
   */
  want(want: Want): void {
    this.#content.want(want);
  }

  /**
   * Says in which order pieces are to come where nobody waits for one, such as that of a boot; the rarest come after them.
   * For nodes that will read in this order: while all fetch in one order, they have less to trade.
   */
  setOrder(pieces: readonly number[]): void {
    this.#content.setOrder(pieces);
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
    return this.#tally.badSenders;
  }

  /**
   * Takes the info dictionary from elsewhere than a peer, such as a .torrent file.
   *
   * @returns false if it is not this torrent's
   */
  takeInfo(infoBytes: Uint8Array): boolean {
    if (createHash("sha1").update(infoBytes).digest("hex") !== this.infohash) return false;
    if (!this.info && this.#isRunning) this.#learnInfo(infoBytes);
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
    this.#content.addSource(source);
    return () => this.#content.removeSource(source);
  }

  status(): TorrentStatus {
    const nowMs = this.#host.clock.now();
    const { storage } = this.#content;
    return {
      infohash: this.infohash,
      lengthBytes: this.info?.lengthBytes ?? 0,
      doneBytes: storage?.doneBytes ?? 0,
      zeroBytes: storage?.zeroBytes ?? 0,
      complete: this.isComplete,
      peers: this.#neighbours.peers.size,
      peersSeen: this.#neighbours.seen,
      demandWaitedMs: this.#content.demandWaitedMs(nowMs),
      ...this.#tally.status(nowMs),
    };
  }

  /** Leaves the swarm, writes down what is here and closes the files. The data stays. */
  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  async #end(): Promise<void> {
    this.#content.abort();
    this.#disconnect();
    try {
      await this.#content.close();
    } finally {
      // Also where the last flush found the disk full: what could be kept is kept, and nothing is held any more.
      this.#host.removed(this.infohash);
    }
  }

  #fail(error: Error): void {
    if (this.#failed || this.#closing) return;
    this.#failed = true;
    this.#disconnect();
    this.#content.stop();
    this.#host.log.warn({ infohash: this.infohash, error: error.message }, "the torrent has failed");
    // An emitter throws an error that nobody listens for.
    if (this.listenerCount("error") > 0) this.emit("error", error);
  }

  #disconnect(): void {
    this.#cancelTick();
    this.#neighbours.closeAll();
    this.#slots.stop();
  }

  // --- info

  #learnInfo(infoBytes: Uint8Array): void {
    const info = this.#content.learn(infoBytes);
    if (info) this.emit("info", info);
  }

  #onInfo(info: TorrentInfo): void {
    this.#metadata.infoBytes = info.infoBytes;
    // Peers that came before were told that we lack it: now they can ask us.
    for (const peer of [...this.#neighbours.peers]) this.#extensions.sendHandshake(peer);
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
    this.#extensions.sendHandshake(peer);
    this.#pieces?.greet(peer);
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
    this.#slots.dealSoon();
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
        this.#slots.onInterest(peer, message.type === "interested");
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

  #onPieces(peer: Peer, pieces: "all" | "none" | Uint8Array): void {
    if (this.#pieces) this.#pieces.onPieces(peer, pieces);
    else peer.earlyPieces = pieces;
  }

  #onExtended(peer: Peer, id: number, payload: Uint8Array): void {
    try {
      this.#extensions.onMessage(peer, id, payload);
    } catch (error) {
      this.#strike(peer, (error as Error).message);
    }
  }

  /** Addresses that a peer told. */
  #hear(endpoints: readonly Endpoint[], from: Peer): void {
    if (this.isComplete) return;
    const isNear = from.zone !== undefined && from.zone === this.#host.zone;
    for (const endpoint of endpoints) this.#neighbours.name(endpoint, { isHearsay: true, isNear });
    this.#dial();
  }

  onBlockStart(peer: Peer, index: number, begin: number, length: number): Uint8Array | undefined {
    return this.#pieces?.onBlockStart(peer, { index, begin, length });
  }

  onBlockEnd(peer: Peer, block: Block, kept: boolean): void {
    if (!this.#neighbours.isNear(peer)) this.#tally.receivedFromAfar(block.length);
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
    this.#tally.sent(bytes);
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
    this.#slots.tick(nowMs);
    if (this.#announcements.isDue(nowMs, this.#isSettled)) this.#announce(nowMs);
    this.#pieces?.tick();
    this.#scheduleTick();
  }

  #scheduleTick(): void {
    this.#isResting = this.isComplete && this.connections === 0;
    this.#cancelTick();
    this.#cancelTick = this.#host.clock.after(this.#isResting ? restingTickMs : tickMs, () => this.#tick());
  }

  #releaseOverdue(nowMs: number): void {
    for (const peer of this.#neighbours.peers) this.#pieces?.releaseOverdue(peer, nowMs);
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
    return this.isComplete || this.#neighbours.peers.size >= peersEnough;
  }
}
