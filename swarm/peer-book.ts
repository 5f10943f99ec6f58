/** The addresses at which a torrent's peers may be, and when to try them: pure but for the time it is told. */
import { knownPeersMax } from "./limits.ts";
import type { Endpoint } from "./types.ts";

/** First wait after a failed attempt, doubled with each further one up to the last; plus up to half of it at random. */
const retryMsMin = 1_000;
const retryMsMax = 60_000;
/** An address that failed this often in a row is forgotten; the DHT names it again if it is alive. */
const failuresMax = 10;

interface KnownPeer {
  endpoint: Endpoint;
  failures: number;
  nextTryAtMs: number;
  busy: boolean;
}

export class PeerBook {
  readonly #peers = new Map<string, KnownPeer>();
  readonly #random: () => number;
  #seen = 0;

  constructor(random: () => number) {
    this.#random = random;
  }

  /** Addresses ever heard of. */
  get seen(): number {
    return this.#seen;
  }

  /** Notes an address. False if it is known, makes no sense, or the book is full. */
  add(endpoint: Endpoint): boolean {
    if (endpoint.port <= 0 || endpoint.port > 65_535 || endpoint.host === "" || endpoint.host === "0.0.0.0")
      return false;
    const key = keyOf(endpoint);
    if (this.#peers.has(key)) return false;
    if (this.#peers.size >= knownPeersMax) return false;
    this.#peers.set(key, { endpoint, failures: 0, nextTryAtMs: 0, busy: false });
    this.#seen++;
    return true;
  }

  /** An address to connect to now; it is busy until `failed` or `ended`. */
  next(nowMs: number): Endpoint | undefined {
    for (const [key, peer] of this.#peers) {
      if (peer.busy || peer.nextTryAtMs > nowMs) continue;
      peer.busy = true;
      // To the end of the line, so that every address gets its turn.
      this.#peers.delete(key);
      this.#peers.set(key, peer);
      return peer.endpoint;
    }
    return undefined;
  }

  /** There is a connection to the address, whoever made it. */
  connected(endpoint: Endpoint): void {
    this.add(endpoint);
    const peer = this.#peers.get(keyOf(endpoint));
    if (peer) Object.assign(peer, { busy: true, failures: 0 });
  }

  /** The connection ended; it may be tried again after a while, longer if it was of no use. */
  ended(endpoint: Endpoint, nowMs: number, waitMs = 0): void {
    const peer = this.#peers.get(keyOf(endpoint));
    if (!peer) return;
    peer.busy = false;
    peer.failures++;
    if (peer.failures > failuresMax) {
      this.#peers.delete(keyOf(endpoint));
      return;
    }
    const backoffMs = Math.min(retryMsMin * 2 ** (peer.failures - 1), retryMsMax);
    peer.nextTryAtMs = nowMs + Math.max(waitMs, backoffMs * (1 + this.#random() / 2));
  }

  forget(endpoint: Endpoint): void {
    this.#peers.delete(keyOf(endpoint));
  }
}

/** An endpoint as a map's key. */
export function keyOf(endpoint: Endpoint): string {
  return `${endpoint.host}:${endpoint.port}`;
}
