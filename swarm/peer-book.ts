/** The addresses at which a torrent's peers may be, and when to try them: pure but for the time it is told. */
import { isDialable, isLoopback, keyOf } from "./endpoint.ts";
import { knownPeersMax, knownPeersPerHostMax } from "./limits.ts";
import type { Endpoint } from "./types.ts";

/**
 * First wait after a failed attempt, doubled with each further one up to the last; plus up to half of it at random.
 * The last is short, because a peer that comes back after an outage may be the only one.
 */
const retryMsMin = 1_000;
const retryMsMax = 10_000;
/** An address that failed this often in a row is forgotten, unless it was given; the DHT names it again if it lives. */
const failuresMax = 10;
/** An address that is named again while it waits need not wait longer, once in this time. */
const namedAgainMsMin = 5_000;

interface KnownPeer {
  readonly endpoint: Endpoint;
  /** Given by whoever added the torrent: never forgotten, never crowded out. */
  isGiven: boolean;
  failures: number;
  nextTryAtMs: number;
  hastenedAtMs: number;
  busy: boolean;
}

export class PeerBook {
  /** Those tried last come last. */
  readonly #peers = new Map<string, KnownPeer>();
  readonly #random: () => number;
  #seen = 0;
  #isNewestsTurn = false;

  constructor(random: () => number) {
    this.#random = random;
  }

  /** Addresses ever heard of. */
  get seen(): number {
    return this.#seen;
  }

  /** Notes an address, or that it was named again. True if it may be tried now and could not before. */
  add(endpoint: Endpoint, nowMs: number, options: { isGiven?: boolean } = {}): boolean {
    if (!isDialable(endpoint)) return false;
    const isGiven = options.isGiven ?? false;
    const known = this.#peers.get(keyOf(endpoint));
    if (known) {
      known.isGiven ||= isGiven;
      return hasten(known, nowMs);
    }
    if (!this.#makeRoom(endpoint.host, isGiven)) return false;
    this.#peers.set(keyOf(endpoint), {
      ...{ endpoint, isGiven, failures: 0, busy: false },
      ...{ nextTryAtMs: nowMs, hastenedAtMs: Number.NEGATIVE_INFINITY },
    });
    this.#seen++;
    return true;
  }

  /**
   * An address to connect to now; it is busy until `ended` or `postponed`. Those given come first. Of the others, the one
   * that waited longest and the newest take turns: many false addresses delay a true one that comes after them little.
   */
  next(nowMs: number): Endpoint | undefined {
    let oldest: KnownPeer | undefined;
    let newest: KnownPeer | undefined;
    for (const peer of this.#peers.values()) {
      if (peer.busy || peer.nextTryAtMs > nowMs) continue;
      if (peer.isGiven) return this.#take(peer);
      oldest ??= peer;
      if (peer.failures === 0) newest = peer;
    }
    this.#isNewestsTurn = !this.#isNewestsTurn;
    const chosen = this.#isNewestsTurn ? (newest ?? oldest) : oldest;
    return chosen && this.#take(chosen);
  }

  /** There is a connection to the address, whoever made it. */
  connected(endpoint: Endpoint, nowMs: number): void {
    this.add(endpoint, nowMs);
    const peer = this.#peers.get(keyOf(endpoint));
    if (peer) Object.assign(peer, { busy: true, failures: 0 });
  }

  /** The connection or the attempt ended; the address may be tried again after a while, `waitMs` at the least. */
  ended(endpoint: Endpoint, nowMs: number, waitMs = 0): void {
    const peer = this.#peers.get(keyOf(endpoint));
    if (!peer) return;
    peer.busy = false;
    peer.failures++;
    if (peer.failures > failuresMax && !peer.isGiven) {
      this.#peers.delete(keyOf(endpoint));
      return;
    }
    const backoffMs = Math.min(retryMsMin * 2 ** (peer.failures - 1), retryMsMax);
    peer.nextTryAtMs = nowMs + Math.max(waitMs, backoffMs * (1 + this.#random() / 2));
  }

  /** There was no place for a connection: no fault of the address, which is as it was but for a short wait. */
  postponed(endpoint: Endpoint, nowMs: number): void {
    const peer = this.#peers.get(keyOf(endpoint));
    if (peer) Object.assign(peer, { busy: false, nextTryAtMs: nowMs + retryMsMin });
  }

  /** The peer there was struck off for `waitMs`: a given address waits as long, any other is forgotten. */
  struckOff(endpoint: Endpoint, nowMs: number, waitMs: number): void {
    const peer = this.#peers.get(keyOf(endpoint));
    if (!peer) return;
    if (!peer.isGiven) this.#peers.delete(keyOf(endpoint));
    else Object.assign(peer, { busy: false, nextTryAtMs: nowMs + waitMs });
  }

  forget(endpoint: Endpoint): void {
    this.#peers.delete(keyOf(endpoint));
  }

  #take(peer: KnownPeer): Endpoint {
    peer.busy = true;
    // To the end of the line, so that every address gets its turn.
    this.#peers.delete(keyOf(peer.endpoint));
    this.#peers.set(keyOf(peer.endpoint), peer);
    return peer.endpoint;
  }

  /** Whether a further address of the host may come in; where there is no room, one that failed gives way. */
  #makeRoom(host: string, isGiven: boolean): boolean {
    const all = [...this.#peers.values()];
    if (!isGiven && !isLoopback(host)) {
      const sameHost = all.filter(({ endpoint }) => endpoint.host === host);
      if (sameHost.length >= knownPeersPerHostMax) return this.#dropWorst(sameHost);
    }
    return all.length < knownPeersMax || this.#dropWorst(all);
  }

  /** Forgets the address that failed most often, if one that is not in use failed at all. */
  #dropWorst(peers: readonly KnownPeer[]): boolean {
    let worst: KnownPeer | undefined;
    for (const peer of peers) {
      if (!peer.busy && !peer.isGiven && peer.failures > (worst?.failures ?? 0)) worst = peer;
    }
    return worst !== undefined && this.#peers.delete(keyOf(worst.endpoint));
  }
}

function hasten(peer: KnownPeer, nowMs: number): boolean {
  if (peer.busy || peer.nextTryAtMs <= nowMs || nowMs - peer.hastenedAtMs < namedAgainMsMin) return false;
  peer.hastenedAtMs = nowMs;
  peer.nextTryAtMs = nowMs;
  return true;
}
