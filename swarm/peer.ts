/**
 * One connection: its handshake, choke and interest both ways, what is asked of it and what it asks for. It reports to
 * one owner, which decides; first the swarm, until an inbound peer has said which torrent it is about, then the torrent.
 */
import type { Bitfield } from "./bitfield.ts";
import type { LastDemand } from "./demand.ts";
import type { DownloadLimit } from "./download-limit.ts";
import { FloodGuard } from "./flood-guard.ts";
import {
  fragmentRequestsMax,
  fragmentRequestsPerSecondMax,
  piecesMax,
  signalsMax,
  signalsPerSecondMax,
  unaskedBytesMax,
  unsentBytesMax,
} from "./limits.ts";
import { type RateLimit, RateMeter } from "./rate.ts";
import { ReadPace } from "./read-pace.ts";
import { Requests } from "./requests.ts";
import { tailBytesMax } from "./send-slabs.ts";
import type { SharedTimers } from "./shared-timers.ts";
import type { Clock, Endpoint, PeerSocket } from "./types.ts";
import { type ReadBlocks, UploadQueue } from "./upload-queue.ts";
import {
  type Block,
  encodeBlockMessages,
  encodePieceMessages,
  encodeSignal,
  type Handshake,
  keepAlive,
  pieceMessageBytes,
  WireDecoder,
  type WireMessage,
} from "./wire.ts";

/** Pieces told at once behind what cannot wait, beside a change of interest. */
const havesAtOnce = Math.floor(tailBytesMax / pieceMessageBytes) - 1;
/** The same where nothing else is sent: as many as fit into a few packets. */
const havesAloneMax = 512;

/** For how long after somebody waited for a piece all connections are read more often. */
const urgentMs = 1_000;

export interface PeerOwner {
  onHandshake(peer: Peer, handshake: Handshake): void;
  onMessage(peer: Peer, message: WireMessage): void;
  onBlockStart(peer: Peer, index: number, begin: number, length: number): Uint8Array | undefined;
  onBlockEnd(peer: Peer, block: Block, kept: boolean): void;
  /** Blocks that the peer asked for cannot be read; they are refused. */
  onReadError(peer: Peer, blocks: readonly Block[], error: Error): void;
  /** Blocks that the peer asked for have been given to its socket. */
  onSent(peer: Peer, bytes: number): void;
  /** The connection is over; `error` says why if it was a fault. */
  onClose(peer: Peer, error: Error | undefined): void;
}

export interface PeerOptions {
  socket: PeerSocket;
  /** Where it is; for an inbound connection, the port is not the one it listens on. */
  endpoint: Endpoint;
  direction: "inbound" | "outbound";
  clock: Clock;
  uploadLimit: RateLimit;
  /** Memory that blocks may hold which this peer's socket has not taken. */
  sendMemoryBytesMax: () => number;
  downloadLimit: DownloadLimit;
  lastDemand: LastDemand;
  /** When to go on with connections that are left unread for a moment: all of them together. */
  rests: SharedTimers;
}

/** What the extension handshake (BEP 10) told. */
export interface PeerExtensions {
  /** The peer's id for ut_metadata messages; 0 if it has none. */
  metadataId: number;
  metadataBytes: number;
  /** Its id for ut_pex messages; 0 if it has none. */
  pexId: number;
  /** It takes the first ut_pex messages in quick succession, as our own nodes do. */
  takesQuickPex: boolean;
}

export class Peer {
  readonly endpoint: Endpoint;
  readonly direction: "inbound" | "outbound";
  owner: PeerOwner;
  /** 40 hex digits once the handshake is done. */
  id = "";
  fast = false;
  /** It speaks the extension protocol (BEP 10). */
  extended = false;
  /** Where it listens, if it is known. */
  listens: Endpoint | undefined;
  extensions: PeerExtensions = { metadataId: 0, metadataBytes: 0, pexId: 0, takesQuickPex: false };
  /** Where it says that it is: nodes of one zone are near to each other. */
  zone: string | undefined;
  /** Pieces it has; undefined until the torrent's info is known. */
  has: Bitfield | undefined;
  /** Its bitfield, kept until the info is known. */
  earlyPieces: "all" | "none" | Uint8Array = "none";
  earlyHaves: number[] = [];
  /** How many of its pieces we lack. */
  usefulPieces = 0;
  amChoking = true;
  amInterested = false;
  /** What it was last told of our interest. */
  #toldInterested = false;
  choking = true;
  interested = false;
  chokeChangedAtMs: number;
  /** Messages that answer no data. */
  readonly signals: FloodGuard;
  /** Its requests for parts of blocks. */
  readonly fragments: FloodGuard;
  /** How often it has taken back that it has pieces. */
  retractions = 0;
  /** Pieces that it suggests we ask it for (BEP 6), and when it last did. */
  suggested: number[] = [];
  suggestedAtMs = Number.NEGATIVE_INFINITY;
  /** Where its arriving block goes while another peer writes to the block's own place. */
  aside: Uint8Array | undefined;
  #unaskedBytes = 0;
  /** Do not ask it for anything before this time. */
  restUntilMs = 0;
  readonly connectedAtMs: number;
  lastHeardAtMs: number;
  readonly down: RateMeter;
  /** What it is asked for. */
  readonly requests: Requests;
  readonly up: RateMeter;
  readonly #socket: PeerSocket;
  readonly #decoder: WireDecoder;
  readonly #pace = new ReadPace();
  readonly #options: PeerOptions;
  readonly #uploads: UploadQueue;
  #lastSentAtMs: number;
  /** Messages of this turn, and their length. */
  #outbox: Uint8Array[] = [];
  #outboxBytes = 0;
  /** Of what the socket has been given and not taken, the blocks and what went with them. */
  #blockBytesUnsent = 0;
  #takeHaves: (countMax: number) => readonly number[] = () => [];
  #closed = false;
  #cancelTimers: (() => void)[] = [];

  constructor(options: PeerOptions, owner: PeerOwner) {
    const nowMs = options.clock.now();
    this.#options = options;
    this.#socket = options.socket;
    this.endpoint = options.endpoint;
    this.direction = options.direction;
    if (options.direction === "outbound") this.listens = options.endpoint;
    this.owner = owner;
    this.connectedAtMs = this.lastHeardAtMs = this.chokeChangedAtMs = this.#lastSentAtMs = nowMs;
    this.signals = new FloodGuard(signalsMax, signalsPerSecondMax, nowMs);
    this.fragments = new FloodGuard(fragmentRequestsMax, fragmentRequestsPerSecondMax, nowMs);
    this.down = new RateMeter(nowMs);
    this.requests = new Requests(this.down, nowMs);
    this.up = new RateMeter(nowMs);
    this.#decoder = new WireDecoder(
      {
        onHandshake: (handshake) => {
          this.id = handshake.peerId.toString("hex");
          this.fast = handshake.fast;
          this.extended = handshake.extended;
          this.owner.onHandshake(this, handshake);
        },
        onMessage: (message) => this.owner.onMessage(this, message),
        onBlockStart: (index, begin, length) => this.owner.onBlockStart(this, index, begin, length),
        onBlockEnd: (index, begin, length, kept) => this.owner.onBlockEnd(this, { index, begin, length }, kept),
      },
      { bitfieldBytesMax: Math.ceil(piecesMax / 8) },
    );
    this.#uploads = new UploadQueue({
      socket: options.socket,
      clock: options.clock,
      limit: options.uploadLimit,
      memoryBytesMax: options.sendMemoryBytesMax,
      after: (delayMs, run) => this.#after(delayMs, run),
      write: (slab, end, taken) => this.#writeBlocks(slab, end, taken),
      onSent: (bytes) => this.#noteSent(bytes),
      onReadError: (blocks, error) => {
        this.owner.onReadError(this, blocks, error);
        this.refuse(blocks);
      },
    });
    this.#listen();
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Requests that are neither answered nor given up. */
  get requestsLive(): number {
    return this.requests.live;
  }

  get lastBlockAtMs(): number {
    return this.requests.lastBlockAtMs;
  }

  set bitfieldBytesMax(bytes: number) {
    this.#decoder.bitfieldBytesMax = bytes;
  }

  /** What waits to be sent to it, but for blocks. */
  get unsentBytes(): number {
    return this.#socket.writableLength + this.#outboxBytes - this.#blockBytesUnsent;
  }

  /** Sends a message, with all others of this turn in one write. */
  send(bytes: Uint8Array): void {
    if (this.#closed) return;
    if (this.unsentBytes > unsentBytesMax) {
      this.close(new Error("it asks for more than it reads"));
      return;
    }
    if (this.#outbox.push(bytes) === 1) queueMicrotask(() => this.#flush());
    this.#outboxBytes += bytes.length;
  }

  /** Tells what could wait until now: which pieces are here, and whether the peer's are of use. */
  tellAll(): void {
    if (this.#closed) return;
    const tail = this.#tail(havesAloneMax);
    if (tail) this.send(tail);
  }

  /** Where to find the pieces that the peer has not been told of yet: each call takes out up to `countMax`. */
  tellHavesFrom(takeHaves: (countMax: number) => readonly number[]): void {
    this.#takeHaves = takeHaves;
  }

  /** Interest is told at once only where it is waited for: it comes and goes with every piece. */
  setInterested(interested: boolean): void {
    if (this.amInterested === interested) return;
    this.amInterested = interested;
    const change = interested && this.choking ? this.#takeInterest() : undefined;
    if (change) this.send(change);
  }

  /** The message that tells of our interest, if it is another than the peer was last told. */
  #takeInterest(): Uint8Array | undefined {
    if (this.#toldInterested === this.amInterested) return undefined;
    this.#toldInterested = this.amInterested;
    return encodeSignal(this.amInterested ? "interested" : "notInterested");
  }

  /** What can wait, if there is any: a change of interest and up to `havesMax` pieces. */
  #tail(havesMax: number): Uint8Array | undefined {
    const haves = this.#takeHaves(havesMax);
    const interest = this.#takeInterest();
    if (haves.length === 0) return interest;
    const told = encodePieceMessages("have", haves);
    return interest ? Buffer.concat([told, interest]) : told;
  }

  #flush(): void {
    if (this.#outbox.length === 0 || this.#closed) return;
    const tail = this.#tail(havesAtOnce);
    if (tail) this.#outbox.push(tail);
    const bytes = this.#outbox.length === 1 ? (this.#outbox[0] as Uint8Array) : Buffer.concat(this.#outbox);
    this.#outbox = [];
    this.#outboxBytes = 0;
    this.#lastSentAtMs = this.#options.clock.now();
    this.#socket.write(bytes);
  }

  /** Writes blocks, after what was sent before and with what can wait behind them, up to the slab's end. */
  #writeBlocks(slab: Buffer, end: number, taken: () => void): void {
    this.#flush();
    const tail = this.#tail(havesAtOnce);
    if (tail) slab.set(tail, end);
    const bytes = end + (tail?.length ?? 0);
    this.#blockBytesUnsent += bytes;
    this.#socket.write(slab.subarray(0, bytes), () => {
      this.#blockBytesUnsent -= bytes;
      taken();
    });
  }

  setChoking(choking: boolean): void {
    if (this.amChoking === choking) return;
    this.amChoking = choking;
    this.chokeChangedAtMs = this.#options.clock.now();
    this.send(encodeSignal(choking ? "choke" : "unchoke"));
    if (!choking) return;
    // BEP 6: what will not be served after a choke is refused one by one.
    this.refuse(this.#uploads.clear());
  }

  // --- what we ask of it

  request(blocks: readonly Block[]): void {
    if (blocks.length === 0) return;
    this.requests.add(blocks, this.#options.clock.now());
    this.send(encodeBlockMessages("request", blocks));
  }

  /** Takes note of bytes that were not asked for, or not any more; false if there are too many by now. */
  noteUnasked(bytes: number): boolean {
    this.#unaskedBytes += bytes;
    return this.#unaskedBytes <= unaskedBytesMax;
  }

  /** Whether the very block is arriving. */
  isArriving(index: number, begin: number): boolean {
    const arriving = this.#decoder.arriving;
    return !this.#closed && arriving?.index === index && arriving.begin === begin;
  }

  /** Tells the peer that the block is not needed any more. */
  cancel(block: Block): void {
    if (!this.requests.cancel(block.index, block.begin, this.#options.clock.now())) return;
    // It may be on its way already, which is no fault of the peer.
    this.#unaskedBytes -= block.length;
    this.dropArriving(block.index, block.begin);
    this.send(encodeBlockMessages("cancel", [block]));
  }

  /** If this very block is arriving, the rest of it is dropped: somebody else has completed it. */
  dropArriving(index: number, begin: number): void {
    if (this.isArriving(index, begin)) this.#decoder.dropArriving();
  }

  // --- what it asks of us

  /** Where blocks for it are read. */
  serveFrom(readBlocks: ReadBlocks): void {
    this.#uploads.readBlocks = readBlocks;
  }

  /** Queues a block to be sent. False if its queue is full. */
  queueUpload(block: Block): boolean {
    return this.#uploads.push(block);
  }

  cancelUpload(block: Block): void {
    // BEP 6: a cancelled request is answered too.
    if (this.#uploads.cancel(block)) this.refuse([block]);
  }

  refuse(blocks: readonly Block[]): void {
    if (this.fast && blocks.length > 0) this.send(encodeBlockMessages("reject", blocks));
  }

  #noteSent(bytes: number): void {
    const nowMs = this.#options.clock.now();
    this.#lastSentAtMs = nowMs;
    this.up.add(bytes, nowMs);
    this.owner.onSent(this, bytes);
  }

  keepAlive(nowMs: number, intervalMs: number): void {
    if (nowMs - this.#lastSentAtMs > intervalMs) this.send(keepAlive);
  }

  close(error?: Error): void {
    if (this.#closed) return;
    this.#flush();
    this.#closed = true;
    for (const cancel of this.#cancelTimers) cancel();
    this.#decoder.stop();
    this.#uploads.close();
    this.#socket.destroy();
    this.owner.onClose(this, error);
  }

  #listen(): void {
    const socket = this.#socket;
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    socket.on("drain", () => this.#uploads.serve());
    socket.on("error", (error) => this.close(error));
    socket.on("close", () => this.close());
  }

  #onData(chunk: Buffer): void {
    if (this.#closed) return;
    const { clock, downloadLimit, lastDemand } = this.#options;
    const nowMs = clock.now();
    this.lastHeardAtMs = nowMs;
    try {
      this.#decoder.push(chunk);
    } catch (error) {
      this.close(error as Error);
      return;
    }
    downloadLimit.received(chunk.length);
    const isUrgent = nowMs - lastDemand.atMs < urgentMs;
    const restMs = this.#pace.restMs(chunk.length, nowMs, this.#decoder.arriving !== undefined, isUrgent);
    const waitMs = downloadLimit.restMs();
    if (waitMs === 0 && restMs === 0) return;
    this.#socket.pause();
    if (waitMs > restMs) this.#after(waitMs, this.#readOn);
    else this.#options.rests.within(restMs, this.#readOn);
  }

  readonly #readOn = (): void => {
    if (this.#closed) return;
    const waitMs = this.#options.downloadLimit.restMs();
    if (waitMs === 0) this.#socket.resume();
    else this.#after(waitMs, this.#readOn);
  };

  #after(delayMs: number, run: () => void): void {
    this.#cancelTimers = [this.#options.clock.after(delayMs, run), ...this.#cancelTimers.slice(0, 3)];
  }
}
