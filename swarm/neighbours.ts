/**
 * One torrent's connections: whom it dials, whom it lets in, and with whom it parts so that the swarm's graph stays well
 * mixed and newcomers find places.
 *
 * A node dials up to `neighboursWanted` and leaves the places up to `connectionsPerTorrentMax` to those that dial it.
 * When all are taken, a newcomer gets the place of the neighbour of least worth, at most one in a while.
 */
import type { Adopter } from "./connections.ts";
import { crowdOf, isLoopback, keyOf } from "./endpoint.ts";
import {
  connectionsPerTorrentMax,
  connectsPerTorrentMax,
  handshakeTimeoutMs,
  idleTimeoutMs,
  keepAliveIntervalMs,
  neighboursWanted,
  strikeOffMs,
} from "./limits.ts";
import { leastWorth, type Neighbour } from "./neighbour-choice.ts";
import type { Peer, PeerOwner } from "./peer.ts";
import { type Naming, PeerBook } from "./peer-book.ts";
import type { TorrentHost } from "./torrent-host.ts";
import type { Endpoint } from "./types.ts";
import { encodeHandshake, type Handshake } from "./wire.ts";

/** A peer that was of no use to us, or of least, is left alone for this long. */
const partedMs = 60_000;
/** How often a newcomer may get the place of a neighbour. */
const displaceIntervalMs = 1_000;
/** How often a neighbour is given up for somebody new: a slow one, and one that is of no use or in another zone. */
const exchangeIntervalMs = 30_000;
const exchangeIntervalMsShort = 5_000;

export interface NeighboursOptions {
  infohash: string;
  host: TorrentHost;
  /** What the connections report to. */
  owner: PeerOwner & Adopter;
  /** Whether pieces are missing: otherwise nobody is looked for. */
  isLooking: () => boolean;
}

export class Neighbours {
  readonly #options: NeighboursOptions;
  readonly #host: TorrentHost;
  readonly #book: PeerBook;
  readonly #peers = new Set<Peer>();
  readonly #pending = new Set<Peer>();
  /** The connection that is being given up for another. */
  #parting: Peer | undefined;
  #displacedAtMs = Number.NEGATIVE_INFINITY;
  #exchangedAtMs: number;

  constructor(options: NeighboursOptions) {
    this.#options = options;
    this.#host = options.host;
    this.#book = new PeerBook(options.host.random);
    this.#exchangedAtMs = options.host.clock.now();
  }

  /** Peers past their handshake. */
  get peers(): ReadonlySet<Peer> {
    return this.#peers;
  }

  /** Connections that there are, and those that are being made. */
  get count(): number {
    return this.#peers.size + this.#pending.size;
  }

  /** Addresses ever heard of. */
  get seen(): number {
    return this.#book.seen;
  }

  closeAll(): void {
    for (const peer of [...this.#peers, ...this.#pending]) peer.close();
  }

  // --- addresses

  /** Notes an address; true if it may be tried now and could not before. */
  name(endpoint: Endpoint, naming: Naming = {}): boolean {
    if (this.#host.isOwn(endpoint) || this.#host.isStruck(endpoint)) return false;
    return this.#book.add(endpoint, this.#host.clock.now(), naming);
  }

  /** Takes note where a peer listens, and whether it is near. */
  placed(peer: Peer, peerPort: number): void {
    if (!peer.listens && peerPort > 0) {
      peer.listens = { host: peer.endpoint.host, port: peerPort };
      this.#book.connected(peer.listens, this.#host.clock.now());
    }
    if (peer.listens && this.#host.zone !== undefined) this.#book.placed(peer.listens, this.isNear(peer));
  }

  /** The peer was struck off. */
  struck({ listens }: Peer): void {
    if (listens) this.#book.struckOff(listens, this.#host.clock.now(), strikeOffMs);
  }

  // --- coming and going

  /** Dials as many as there is place and need for. */
  dial(nowMs: number): void {
    if (!this.#options.isLooking()) return;
    while (this.#pending.size < connectsPerTorrentMax && this.count < neighboursWanted) {
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
      const peer = this.#host.connect(endpoint, this.#options.owner);
      if (!peer) {
        this.#book.postponed(endpoint, nowMs);
        return;
      }
      this.#pending.add(peer);
      peer.send(encodeHandshake(this.#options.infohash, this.#host.peerId));
    }
  }

  /** Sees to it that there is a place for one at `host` that dialled us; false if there is none. */
  makePlace(host: string): boolean {
    // Attempts under way count: each may become a neighbour without being asked whether there is a place.
    if (this.count < connectionsPerTorrentMax) return true;
    const crowd = crowdOf(this.#peers, ({ endpoint }) => endpoint.host);
    const sameHost = [...this.#peers].filter(({ endpoint }) => endpoint.host === host).length;
    // Nodes have an address each: one host must not take the places of many.
    if (crowd.length > sameHost + 1) {
      const nowMs = this.#host.clock.now();
      const chosen = leastWorth(this.#neighbours(nowMs, crowd), connectionsPerTorrentMax, true);
      if (chosen) this.#partFrom(chosen.peer);
      return chosen !== undefined;
    }
    if (sameHost > 0 && !isLoopback(host)) return false;
    const nowMs = this.#host.clock.now();
    if (nowMs - this.#displacedAtMs < displaceIntervalMs) return false;
    const chosen = leastWorth(this.#neighbours(nowMs), connectionsPerTorrentMax);
    if (!chosen) return false;
    this.#displacedAtMs = nowMs;
    this.#partFrom(chosen.peer);
    return true;
  }

  /** Gives up a connection for another torrent of this node; false if there is none. */
  giveUpOne(): boolean {
    const [attempt] = this.#pending;
    const nowMs = this.#host.clock.now();
    const peer = attempt ?? leastWorth(this.#neighbours(nowMs), connectionsPerTorrentMax, true)?.peer;
    if (peer) this.#partFrom(peer);
    return peer !== undefined;
  }

  /** Lets a peer in that has said who it is; otherwise it is closed, and the answer is false. */
  admit(peer: Peer, handshake: Handshake): boolean {
    this.#pending.delete(peer);
    const fault = this.#handshakeFault(peer, handshake);
    if (fault) {
      peer.close(new Error(fault));
      return false;
    }
    this.#peers.add(peer);
    if (peer.listens) this.#book.connected(peer.listens, this.#host.clock.now());
    return true;
  }

  #handshakeFault(peer: Peer, handshake: Handshake): string | undefined {
    const ownId = Buffer.from(this.#host.peerId).toString("hex");
    if (handshake.infohash !== this.#options.infohash) return "the peer answered for another torrent";
    if (peer.id === ownId) {
      if (peer.direction === "outbound") this.#host.noteOwn(peer.endpoint);
      return "connected to ourselves";
    }
    const twin = [...this.#peers].find((other) => isSameNode(other, peer));
    if (!twin) return undefined;
    // Both sides dialled: both must keep the same one, the one that the smaller id dialled.
    const keptDirection = ownId < peer.id ? "outbound" : "inbound";
    if (twin.direction === peer.direction || twin.direction === keptDirection) return "connected already";
    twin.close();
    return undefined;
  }

  /** The connection is over. True if it was past its handshake. */
  left(peer: Peer): boolean {
    this.#pending.delete(peer);
    const wasPeer = this.#peers.delete(peer);
    this.#noteEnd(peer, wasPeer);
    return wasPeer;
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
    const wasUseless = !this.#options.isLooking() || (peer.usefulPieces === 0 && (peer.has?.count ?? 0) > 0);
    const waitMs = wasPeer && (wasUseless || peer === this.#parting) ? partedMs : 0;
    this.#book.ended(peer.listens, this.#host.clock.now(), waitMs);
  }

  // --- time

  /** Ends connections that are silent, and keeps the others alive. */
  dropSilent(nowMs: number): void {
    for (const peer of this.#pending) {
      if (nowMs - peer.connectedAtMs > handshakeTimeoutMs) peer.close(new Error("no handshake in time"));
    }
    for (const peer of this.#peers) {
      peer.keepAlive(nowMs, keepAliveIntervalMs);
      if (nowMs - peer.lastHeardAtMs > idleTimeoutMs) peer.close(new Error("silent for too long"));
    }
  }

  /**
   * Now and then parts with the neighbour of least worth, where there are enough and somebody else is known: parts of the
   * swarm that have lost sight of each other grow together again, and each node finds those that are near.
   */
  exchangeOne(nowMs: number): void {
    const sinceMs = nowMs - this.#exchangedAtMs;
    if (sinceMs < exchangeIntervalMsShort || this.#peers.size < neighboursWanted) return;
    if (!this.#options.isLooking() || !this.#book.hasNext(nowMs)) return;
    const chosen = leastWorth(this.#neighbours(nowMs), neighboursWanted);
    if (!chosen || (chosen.reason === "slow" && sinceMs < exchangeIntervalMs)) return;
    this.#exchangedAtMs = nowMs;
    this.#partFrom(chosen.peer);
  }

  #partFrom(peer: Peer): void {
    this.#parting = peer;
    peer.close();
  }

  #neighbours(nowMs: number, among: Iterable<Peer> = this.#peers): Neighbour<Peer>[] {
    return [...among].map((peer) => ({
      peer,
      isUseful: peer.interested || peer.amInterested,
      isNear: this.isNear(peer),
      bytesPerSecond: peer.down.bytesPerSecond(nowMs) + peer.up.bytesPerSecond(nowMs),
      ageMs: nowMs - peer.connectedAtMs,
    }));
  }

  /** Whether the peer is in our own zone, or zones play no part. */
  isNear(peer: Peer): boolean {
    return this.#host.zone === undefined || peer.zone === this.#host.zone;
  }
}

/**
 * Whether two connections lead to the same node. An id alone proves nothing: from elsewhere it is a copy, which must not
 * keep the one that it was copied from out.
 */
function isSameNode(one: Peer, other: Peer): boolean {
  if (one.id !== other.id || one.endpoint.host !== other.endpoint.host) return false;
  return !one.listens || !other.listens || one.listens.port === other.listens.port;
}
