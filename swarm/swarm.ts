/**
 * One node of the swarm: a TCP listener, a DHT node, and its torrents. It lets connections in and out within bounds, and
 * hands each to the torrent it is about.
 */
import { randomBytes } from "node:crypto";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { AssemblyBudget } from "./assembly-budget.ts";
import { Connections } from "./connections.ts";
import { Dht } from "./dht.ts";
import { type Disk, systemDisk } from "./disk.ts";
import { DownloadLimit } from "./download-limit.ts";
import { connectionsMaxDefault, connectTimeoutMs } from "./limits.ts";
import { RateLimit, RateMeter } from "./rate.ts";
import { dial, readShared } from "./sockets.ts";
import { Storage } from "./storage.ts";
import { systemClock } from "./system-clock.ts";
import { Torrent } from "./torrent.ts";
import type { TorrentHost } from "./torrent-host.ts";
import type { AddTorrentOptions, Clock, Endpoint, SwarmLog, SwarmOptions } from "./types.ts";

/** Peer ids in Azureus' style (BEP 20): two letters and a version. */
const peerIdPrefix = "-BW0100-";
/** A growing DHT is told of our torrents at most this often. */
const reannounceMsMin = 5_000;

export interface SwarmStatus {
  /** Connections past their handshake. */
  peers: number;
  dhtNodes: number;
  torrents: number;
  downBytesPerSecond: number;
  upBytesPerSecond: number;
  /** Payload bytes from and to peers since the start. */
  receivedBytes: number;
  sentBytes: number;
  verifyFailures: number;
  /** Payload bytes received and not needed: twice, or not any more. */
  wastedBytes: number;
  /** Blocks that were late and asked of one more peer. */
  hedgedBlocks: number;
  /** Payload that somebody waited for, by where it came from. */
  demandedBytes: { peer: number; source: number };
}

const silentLog: SwarmLog = { debug() {}, info() {}, warn() {} };

export class Swarm {
  readonly #server: Server;
  readonly #dht: Dht;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #log: SwarmLog;
  readonly #torrents = new Map<string, Torrent>();
  readonly #zone: string | undefined;
  readonly #disk: Disk;
  readonly #connections: Connections;
  readonly #peerId = Buffer.concat([Buffer.from(peerIdPrefix), randomBytes(12)]);
  readonly #budget = new AssemblyBudget();
  readonly #received: RateMeter;
  readonly #sent: RateMeter;
  #verifyFailures = 0;
  #wastedBytes = 0;
  readonly #lastDemand = { atMs: Number.NEGATIVE_INFINITY };
  readonly #downloadLimit: DownloadLimit;
  #hedgedBlocks = 0;
  readonly #demandedBytes = { peer: 0, source: 0 };
  #cancelReannounce: (() => void) | undefined;
  /** Told when a piece that a peer asks for, and that is said to be here, cannot be read. */
  onReadFailed: (infohash: string, index: number, error: Error) => void = () => {};
  #closed = false;
  #closing: Promise<void> | undefined;

  private constructor(options: SwarmOptions, clock: Clock, server: Server, dht: Dht) {
    const nowMs = clock.now();
    this.#server = server;
    this.#dht = dht;
    this.#clock = clock;
    this.#random = options.random ?? Math.random;
    this.#log = options.log ?? silentLog;
    this.#zone = options.zone;
    this.#disk = options.disk ?? systemDisk;
    this.#downloadLimit = new DownloadLimit(options.downloadBytesPerSecondMax ?? 0, clock, this.#lastDemand);
    this.#connections = new Connections({
      clock,
      log: this.#log,
      connectionsMax: options.connectionsMax ?? connectionsMaxDefault,
      uploadLimit: new RateLimit(options.uploadBytesPerSecondMax ?? 0, nowMs),
      downloadLimit: this.#downloadLimit,
      lastDemand: this.#lastDemand,
      dial: (endpoint) => this.#dial(endpoint),
      torrentOf: (infohash) => this.#torrents.get(infohash),
      torrents: () => this.#torrents.values(),
    });
    this.#received = new RateMeter(nowMs);
    this.#sent = new RateMeter(nowMs);
    this.#connections.noteOwn({ host: options.host, port: this.peerPort });
    server.on("connection", (socket) => this.#onConnection(socket));
    server.on("error", (error) => this.#log.warn({ error: error.message }, "peer listener"));
  }

  /**
   * Opens the TCP listener and the DHT node.
   *
   * @throws Error with `code` EADDRINUSE, EADDRNOTAVAIL or EACCES if a port cannot be had.
   */
  static async open(options: SwarmOptions): Promise<Swarm> {
    const clock = options.clock ?? systemClock;
    const server = createServer({ pauseOnConnect: true });
    // Nobody is there to take a connection yet; who comes too early tries again.
    const turnAway = (socket: Socket) => socket.destroy();
    server.on("connection", turnAway);
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(options.port, options.host, () => {
        server.removeListener("error", reject);
        resolve();
      });
    });
    try {
      // What the DHT finds goes to a swarm that is there only once the DHT is.
      let swarm: Swarm | undefined;
      const dht = await Dht.open({
        host: options.host,
        port: options.dhtPort,
        bootstrap: options.bootstrap ?? [],
        clock,
        random: options.random ?? Math.random,
        log: options.log ?? silentLog,
        onPeer: (infohash, peer) => swarm?.get(infohash)?.addPeer(peer),
        onNode: () => swarm?.reannounceSoon(),
      });
      swarm = new Swarm(options, clock, server, dht);
      server.removeListener("connection", turnAway);
      return swarm;
    } catch (error) {
      server.close();
      throw error;
    }
  }

  /** TCP port on which peers are served. */
  get peerPort(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** UDP port of the DHT node. */
  get dhtPort(): number {
    return this.#dht.port;
  }

  /** Adds a torrent, which starts at once. @throws Error if its infohash is here already. */
  add(options: AddTorrentOptions): Torrent {
    if (this.#closed) throw new Error("the swarm is closed");
    if (!/^[0-9a-f]{40}$/.test(options.infohash))
      throw new Error(`"${options.infohash}" is no infohash of 40 hex digits`);
    if (this.#torrents.has(options.infohash)) throw new Error(`the torrent ${options.infohash} is here already`);
    const torrent = new Torrent(options, this.#host);
    this.#torrents.set(options.infohash, torrent);
    return torrent;
  }

  get(infohash: string): Torrent | undefined {
    return this.#torrents.get(infohash);
  }

  /** DHT nodes learned after the start. */
  addBootstrap(nodes: readonly Endpoint[]): void {
    this.#dht.addBootstrap(nodes);
  }

  /** The DHT's routing table, to be given as `bootstrap` at the next start. */
  dhtNodes(): Endpoint[] {
    return this.#dht.nodes();
  }

  status(): SwarmStatus {
    const nowMs = this.#clock.now();
    return {
      peers: this.#connections.peerCount,
      dhtNodes: this.#dht.nodeCount,
      torrents: this.#torrents.size,
      downBytesPerSecond: this.#received.bytesPerSecond(nowMs),
      upBytesPerSecond: this.#sent.bytesPerSecond(nowMs),
      receivedBytes: this.#received.total,
      sentBytes: this.#sent.total,
      verifyFailures: this.#verifyFailures,
      wastedBytes: this.#wastedBytes,
      hedgedBlocks: this.#hedgedBlocks,
      demandedBytes: { ...this.#demandedBytes },
    };
  }

  /** Closes all torrents and connections, then the listener and the DHT node. */
  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  async #end(): Promise<void> {
    this.#closed = true;
    this.#connections.stop();
    this.#cancelReannounce?.();
    const ended = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    // One that cannot write down its last pieces must not keep the others from closing.
    const results = await Promise.allSettled([...this.#torrents.values()].map((torrent) => torrent.close()));
    this.#connections.close();
    await Promise.all([ended, this.#dht.close()]);
    for (const result of results) if (result.status === "rejected") throw result.reason;
  }

  /** New nodes in the DHT have not heard of our torrents; while it is small, that may matter. */
  reannounceSoon(): void {
    if (this.#cancelReannounce || this.#closed) return;
    const early = this.#dht.nodeCount <= 8;
    if (!early) return;
    this.#cancelReannounce = this.#clock.after(this.#dht.nodeCount <= 1 ? 0 : reannounceMsMin, () => {
      this.#cancelReannounce = undefined;
      for (const torrent of this.#torrents.values()) torrent.announceSoon();
    });
  }

  get #host(): TorrentHost {
    return {
      clock: this.#clock,
      random: this.#random,
      log: this.#log,
      peerId: this.#peerId,
      peerPort: this.peerPort,
      zone: this.#zone,
      budget: this.#budget,
      lastDemand: this.#lastDemand,
      downloadLimit: this.#downloadLimit,
      openStorage: (options, signal) => Storage.open(options, signal, { disk: this.#disk, clock: this.#clock }),
      connect: (endpoint, owner) => this.#connections.connect(endpoint, owner),
      announce: (infohash, onFailed) => this.#dht.announce(infohash, this.peerPort, onFailed),
      strike: (peer, reason) => this.#connections.strike(peer, reason),
      blame: (peer) => this.#connections.blame(peer),
      isOwn: (endpoint) => this.#connections.isOwn(endpoint),
      noteOwn: (endpoint) => this.#connections.noteOwn(endpoint),
      isStruck: (endpoint) => this.#connections.isStruck(endpoint),
      countReceived: (bytes) => this.#received.add(bytes, this.#clock.now()),
      countSent: (bytes) => this.#sent.add(bytes, this.#clock.now()),
      countVerifyFailure: () => this.#verifyFailures++,
      readFailed: (infohash, index, error) => this.onReadFailed(infohash, index, error),
      countWasted: (bytes) => {
        this.#wastedBytes += bytes;
      },
      countDemanded: (bytes, from) => {
        this.#demandedBytes[from] += bytes;
      },
      countHedged: (blocks) => {
        this.#hedgedBlocks += blocks;
      },
      removed: (infohash) => this.#torrents.delete(infohash),
    };
  }

  #onConnection(socket: Socket): void {
    // On a dual-stack listener an IPv4 address comes in IPv6's clothes.
    const host = (socket.remoteAddress ?? "").replace(/^::ffff:/, "");
    const endpoint = { host, port: socket.remotePort ?? 0 };
    this.#connections.accept(readShared(socket), endpoint);
  }

  #dial(endpoint: Endpoint): Socket {
    const socket = dial(endpoint);
    const cancelTimer = this.#clock.after(connectTimeoutMs, () => socket.destroy());
    socket.once("connect", cancelTimer);
    socket.once("close", cancelTimer);
    return socket;
  }
}
