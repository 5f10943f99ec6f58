/** The addresses at which a torrent's peers may be, and when to try them: pure but for the time it is told. */
import { isDialable, isLoopback, keyOf } from "./endpoint.ts";
import { hearsayPeersMax, knownPeersMax, knownPeersPerHostMax } from "./limits.ts";
import type { Endpoint } from "./types.ts";

/**
 * First wait after a failed attempt, doubled with each further one up to the last; plus up to half of it at random.
 * The last is short, because a peer that comes back after an outage may be the only one.
 */
const retryMsMin = 1_000;
const retryMsMax = 10_000;
/** An address that failed this often in a row is forgotten, unless it was given; the DHT names it again if it lives. */
const failuresMax = 10;
/** The same of hearsay: a peer that lives is heard of again. */
const hearsayFailuresMax = 2;
/** An address that is named again while it waits need not wait longer, once in this time. */
const namedAgainMsMin = 5_000;

/** Where an address comes from, the most trusted first. */
export interface Naming {
  /** Given by whoever added the torrent: never forgotten, never crowded out. */
  isGiven?: boolean;
  /** A peer's word alone (ut_pex): soon forgotten, and the first to give way. */
  isHearsay?: boolean;
  /** Said to be in our own zone, or known to be. */
  isNear?: boolean;
}

interface KnownPeer {
  readonly endpoint: Endpoint;
  isGiven: boolean;
  isHearsay: boolean;
  isNear: boolean;
  failures: number;
  nextTryAtMs: number;
  hastenedAtMs: number;
  busy: boolean;
}

export class PeerBook {
  /** Those tried last come last. */
  readonly #peers = new Map<string, KnownPeer>();
  /** How many of them each host has. */
  readonly #ofHost = new Map<string, number>();
  readonly #random: () => number;
  #seen = 0;
  #hearsay = 0;
  #turn = 0;
  #nearTurn = 0;

  constructor(random: () => number) {
    this.#random = random;
  }

  /** Addresses ever heard of. */
  get seen(): number {
    return this.#seen;
  }

  /** Notes an address, or that it was named again. True if it may be tried now and could not before. */
  add(endpoint: Endpoint, nowMs: number, naming: Naming = {}): boolean {
    if (!isDialable(endpoint)) return false;
    const { isGiven = false, isHearsay = false, isNear = false } = naming;
    const key = keyOf(endpoint);
    const known = this.#peers.get(key);
    if (known) {
      known.isGiven ||= isGiven;
      known.isNear ||= isNear;
      if (isHearsay) return false;
      this.#confirm(known);
      return hasten(known, nowMs);
    }
    if (isHearsay && this.#hearsay >= hearsayPeersMax) return false;
    if (!this.#makeRoom(endpoint.host, { isGiven, isHearsay })) return false;
    this.#peers.set(key, {
      ...{ endpoint, isGiven, isHearsay, isNear, failures: 0, busy: false },
      ...{ nextTryAtMs: nowMs, hastenedAtMs: Number.NEGATIVE_INFINITY },
    });
    this.#ofHost.set(endpoint.host, (this.#ofHost.get(endpoint.host) ?? 0) + 1);
    this.#seen++;
    if (isHearsay) this.#hearsay++;
    return true;
  }

  /** Whether there is an address to connect to now. */
  hasNext(nowMs: number): boolean {
    for (const peer of this.#peers.values()) if (!peer.busy && peer.nextTryAtMs <= nowMs) return true;
    return false;
  }

  /**
   * An address to connect to now; it is busy until `ended` or `postponed`. Those given come first, and three times of
   * four those of our own zone. Otherwise hearsay and the rest take turns, and so do the address that waited longest and
   * the newest: many false addresses delay a true one that comes after them little.
   */
  next(nowMs: number): Endpoint | undefined {
    const ready = { near: new Queue(), sure: new Queue(), hearsay: new Queue() };
    for (const peer of this.#peers.values()) {
      if (peer.busy || peer.nextTryAtMs > nowMs) continue;
      if (peer.isGiven) return this.#take(peer);
      if (peer.isNear) ready.near.add(peer);
      ready[peer.isHearsay ? "hearsay" : "sure"].add(peer);
    }
    const isNearsTurn = ready.near.oldest !== undefined && this.#nearTurn++ % 4 < 3;
    const chosen = isNearsTurn ? ready.near.oldest : this.#inTurn(ready.sure, ready.hearsay);
    return chosen && this.#take(chosen);
  }

  /** There is a connection to the address, whoever made it. */
  connected(endpoint: Endpoint, nowMs: number): void {
    this.add(endpoint, nowMs);
    const peer = this.#peers.get(keyOf(endpoint));
    if (!peer) return;
    this.#confirm(peer);
    Object.assign(peer, { busy: true, failures: 0 });
  }

  /** The peer there has told its zone. */
  placed(endpoint: Endpoint, isNear: boolean): void {
    const peer = this.#peers.get(keyOf(endpoint));
    if (peer) peer.isNear = isNear;
  }

  /** The connection or the attempt ended; the address may be tried again after a while, `waitMs` at the least. */
  ended(endpoint: Endpoint, nowMs: number, waitMs = 0): void {
    const peer = this.#peers.get(keyOf(endpoint));
    if (!peer) return;
    peer.busy = false;
    peer.failures++;
    if (peer.failures > (peer.isHearsay ? hearsayFailuresMax - 1 : failuresMax) && !peer.isGiven) {
      this.forget(endpoint);
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
    if (!peer.isGiven) this.forget(endpoint);
    else Object.assign(peer, { busy: false, nextTryAtMs: nowMs + waitMs });
  }

  forget(endpoint: Endpoint): void {
    const key = keyOf(endpoint);
    if (this.#peers.get(key)?.isHearsay) this.#hearsay--;
    if (!this.#peers.delete(key)) return;
    const left = (this.#ofHost.get(endpoint.host) ?? 0) - 1;
    if (left > 0) this.#ofHost.set(endpoint.host, left);
    else this.#ofHost.delete(endpoint.host);
  }

  /** It is more than hearsay. */
  #confirm(peer: KnownPeer): void {
    if (peer.isHearsay) this.#hearsay--;
    peer.isHearsay = false;
  }

  #inTurn(sure: Queue, hearsay: Queue): KnownPeer | undefined {
    const turn = this.#turn++;
    const [first, second] = turn % 4 < 2 ? [sure, hearsay] : [hearsay, sure];
    const queue = first.oldest ? first : second;
    return turn % 2 === 0 ? queue.newest : queue.oldest;
  }

  #take(peer: KnownPeer): Endpoint {
    peer.busy = true;
    // To the end of the line, so that every address gets its turn.
    this.#peers.delete(keyOf(peer.endpoint));
    this.#peers.set(keyOf(peer.endpoint), peer);
    return peer.endpoint;
  }

  /** Whether a further address of the host may come in; where there is no room, one of less worth gives way. */
  #makeRoom(host: string, { isGiven, isHearsay }: { isGiven: boolean; isHearsay: boolean }): boolean {
    if (!isGiven && !isLoopback(host) && (this.#ofHost.get(host) ?? 0) >= knownPeersPerHostMax) {
      const sameHost = [...this.#peers.values()].filter(({ endpoint }) => endpoint.host === host);
      return this.#dropWorst(sameHost, isHearsay);
    }
    return this.#peers.size < knownPeersMax || this.#dropWorst([...this.#peers.values()], isHearsay);
  }

  /** Forgets the address that failed most often or, for what is more than hearsay, the oldest hearsay. */
  #dropWorst(peers: readonly KnownPeer[], forHearsay: boolean): boolean {
    let worst: KnownPeer | undefined;
    for (const peer of peers) {
      if (!peer.busy && !peer.isGiven && peer.failures > (worst?.failures ?? 0)) worst = peer;
    }
    if (!forHearsay) worst ??= peers.find(({ isHearsay, busy }) => isHearsay && !busy);
    if (worst) this.forget(worst.endpoint);
    return worst !== undefined;
  }
}

/** Of addresses in order: the first, and the last that has not failed yet. */
class Queue {
  oldest: KnownPeer | undefined;
  #untried: KnownPeer | undefined;

  get newest(): KnownPeer | undefined {
    return this.#untried ?? this.oldest;
  }

  add(peer: KnownPeer): void {
    this.oldest ??= peer;
    if (peer.failures === 0) this.#untried = peer;
  }
}

function hasten(peer: KnownPeer, nowMs: number): boolean {
  if (peer.busy || peer.nextTryAtMs <= nowMs || nowMs - peer.hastenedAtMs < namedAgainMsMin) return false;
  peer.hastenedAtMs = nowMs;
  peer.nextTryAtMs = nowMs;
  return true;
}
