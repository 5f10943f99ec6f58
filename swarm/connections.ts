/**
 * One node's connections: lets them in and out within bounds, keeps out who was struck off, and hands each inbound one
 * to the torrent that its handshake names. Sockets are passed in, so that a simulation runs this code too.
 */
import { overShare, type Sharer } from "./connection-shares.ts";
import type { LastDemand } from "./demand.ts";
import type { DownloadLimit } from "./download-limit.ts";
import { crowdOf, keyOf } from "./endpoint.ts";
import {
  handshakesMax,
  handshakeTimeoutMs,
  ownEndpointsMax,
  sendMemoryBytesMax,
  sendMemoryBytesTotal,
} from "./limits.ts";
import { Peer, type PeerOwner } from "./peer.ts";
import type { RateLimit } from "./rate.ts";
import { SharedTimers } from "./shared-timers.ts";
import { Strikes } from "./strikes.ts";
import type { Clock, Endpoint, PeerSocket, SwarmLog } from "./types.ts";
import type { Handshake } from "./wire.ts";

/** What an inbound connection may be handed to. */
export interface Adopter extends Sharer {
  /** Whether it has a place for one at `host`, or makes one. */
  makePlace(host: string): boolean;
  /** Gives up a connection; false if there is none. */
  giveUpOne(): boolean;
  adopt(peer: Peer, handshake: Handshake): void;
}

export interface ConnectionsOptions {
  clock: Clock;
  log: SwarmLog;
  connectionsMax: number;
  uploadLimit: RateLimit;
  downloadLimit: DownloadLimit;
  lastDemand: LastDemand;
  /** Opens a connection; the socket ends by itself if nobody answers. */
  dial: (endpoint: Endpoint) => PeerSocket;
  /** The torrent of an infohash, if it is here. */
  torrentOf: (infohash: string) => Adopter | undefined;
  /** All torrents that are here. */
  torrents: () => Iterable<Adopter>;
}

export class Connections {
  readonly #options: ConnectionsOptions;
  /** When to go on with the connections that are left unread for a moment. */
  readonly #rests: SharedTimers;
  readonly #peers = new Set<Peer>();
  /** Inbound connections that have not said yet what they are about. */
  readonly #strangers = new Set<Peer>();
  readonly #strikes = new Strikes();
  /** Addresses at which this node has met itself, and the one it listens on: the DHT names them like any other. */
  readonly #ownEndpoints = new Set<string>();
  #closed = false;

  constructor(options: ConnectionsOptions) {
    this.#options = options;
    this.#rests = new SharedTimers(options.clock);
  }

  /** Connections of all kinds. */
  get count(): number {
    return this.#peers.size;
  }

  /** Connections that belong to a torrent. */
  get peerCount(): number {
    return this.#peers.size - this.#strangers.size;
  }

  isOwn(endpoint: Endpoint): boolean {
    return this.#ownEndpoints.has(keyOf(endpoint));
  }

  noteOwn(endpoint: Endpoint): void {
    if (this.#ownEndpoints.size < ownEndpointsMax) this.#ownEndpoints.add(keyOf(endpoint));
  }

  isStruck(endpoint: Endpoint): boolean {
    return this.#strikes.isStruck({ address: endpoint }, this.#options.clock.now());
  }

  strike(peer: Peer, reason: string): void {
    this.#options.log.warn({ peer: peer.endpoint, reason }, "peer struck off");
    this.#strikes.strike({ id: peer.id, address: peer.listens ?? peer.endpoint }, this.#options.clock.now());
  }

  /** Notes a bad piece of the peer; how many those of its address have sent by now. */
  blame(peer: Peer): number {
    return this.#strikes.blame({ id: peer.id, address: peer.listens ?? peer.endpoint }, this.#options.clock.now());
  }

  /** Connects on behalf of `owner`; undefined if there is no place. */
  connect(endpoint: Endpoint, owner: PeerOwner & Adopter): Peer | undefined {
    if (this.#closed || !this.#makePlaceFor(owner, 1)) return undefined;
    return this.#newPeer(this.#options.dial(endpoint), endpoint, "outbound", owner);
  }

  /** Takes an inbound connection, or turns it away. */
  accept(socket: PeerSocket, endpoint: Endpoint): void {
    // A full node takes strangers too: one may be there for a torrent that has less than its share.
    if (this.#closed || this.isStruck(endpoint) || !this.#makePlaceForStranger(endpoint.host)) {
      socket.destroy();
      return;
    }
    const peer = this.#newPeer(socket, endpoint, "inbound", this.#reception);
    this.#strangers.add(peer);
    const cancelTimer = this.#options.clock.after(handshakeTimeoutMs, () => {
      if (this.#strangers.has(peer)) peer.close(new Error("no handshake in time"));
    });
    socket.on("close", cancelTimer);
  }

  /** Takes and makes no more connections. */
  stop(): void {
    this.#closed = true;
  }

  /** Ends all that are left. */
  close(): void {
    this.stop();
    for (const peer of [...this.#peers]) peer.close();
  }

  /** Owns inbound connections until their handshake. */
  readonly #reception: PeerOwner = {
    onHandshake: (peer: Peer, handshake: Handshake) => {
      this.#strangers.delete(peer);
      const torrent = this.#options.torrentOf(handshake.infohash);
      const whose = { id: peer.id, address: peer.endpoint };
      const isStruck = this.#strikes.isStruck(whose, this.#options.clock.now());
      if (!torrent || isStruck || !torrent.makePlace(peer.endpoint.host) || !this.#makePlaceFor(torrent, 0))
        peer.close();
      else torrent.adopt(peer, handshake);
    },
    onMessage: () => {},
    onBlockStart: () => undefined,
    onBlockEnd: () => {},
    onReadError: () => undefined,
    onSent: () => {},
    // At once: a socket takes its time to end, and must not count meanwhile.
    onClose: (peer: Peer, error) => {
      this.#forget(peer);
      if (error) this.#options.log.debug({ peer: peer.endpoint, error: error.message }, "turned a stranger away");
    },
  };

  /** When strangers have taken all places, the longest silent one of the host that has most goes, for one that has fewer. */
  #makePlaceForStranger(host: string): boolean {
    if (this.#strangers.size < handshakesMax) return true;
    const crowd = crowdOf(this.#strangers, ({ endpoint }) => endpoint.host);
    const [oldest] = crowd;
    if (!oldest || oldest.endpoint.host === host) return false;
    oldest.close(new Error("too many connections of one host that say nothing"));
    return true;
  }

  /** Whether there is room for `more` connections of the torrent; one that has more than its share gives one up for it. */
  #makePlaceFor(torrent: Adopter, more: number): boolean {
    if (this.peerCount + more <= this.#options.connectionsMax) return true;
    return overShare(this.#options.torrents(), torrent)?.giveUpOne() ?? false;
  }

  #newPeer(socket: PeerSocket, endpoint: Endpoint, direction: "inbound" | "outbound", owner: PeerOwner): Peer {
    const { clock, uploadLimit, downloadLimit, lastDemand } = this.#options;
    const own = { socket, endpoint, direction, sendMemoryBytesMax: this.#sendMemoryBytesMax, rests: this.#rests };
    const peer = new Peer({ ...own, clock, uploadLimit, downloadLimit, lastDemand }, owner);
    this.#peers.add(peer);
    socket.on("close", () => this.#forget(peer));
    return peer;
  }

  readonly #sendMemoryBytesMax = () => Math.min(sendMemoryBytesMax, sendMemoryBytesTotal / this.#peers.size);

  #forget(peer: Peer): void {
    this.#peers.delete(peer);
    this.#strangers.delete(peer);
  }
}
