/**
 * A simulated DHT, as a torrent sees it: a look-up takes a while and names peers that have announced themselves by then, at
 * random; the announcement follows it. One look-up's answers are taken together for a single one of the largest size, which
 * is less than the K closest nodes would tell: the swarm must do with it.
 */
import { peersPerAnswerMax } from "../../swarm/dht-messages.ts";
import type { Endpoint } from "../../swarm/types.ts";
import type { EventQueue } from "./event-queue.ts";
import type { Machine } from "./network.ts";
import type { Random } from "./random.ts";

const lookupMsMin = 50;
const lookupMsMax = 200;
/** The library's patience. */
const unansweredMs = 2_000;
/** Nodes that keep a key, and nodes asked at once: bittorrent-dht's. */
const closestNodes = 20;
const concurrency = 16;

/** Datagrams by this model; see `datagramsOf`. */
export interface DhtTraffic {
  lookupsPerNode: number;
  datagramsPerNode: number;
  /** At each of the nodes that keep the torrent's key: all look-ups end at them. */
  datagramsAtKeyNodes: number;
}

export class SimDht {
  readonly #queue: EventQueue;
  readonly #random: Random;
  readonly #announced: Endpoint[] = [];
  readonly #known = new Set<string>();
  lookups = 0;
  /** No node of it answers, as when the seeder that they all joined by is away. */
  isDown = false;

  constructor(queue: EventQueue, random: Random) {
    this.#queue = queue;
    this.#random = random;
  }

  /** Looks up the torrent's peers, then announces one at `endpoint`. It reaches nobody while the DHT is down. */
  announce(machine: Machine, endpoint: Endpoint, onPeer: (peer: Endpoint) => void, onFailed: () => void): void {
    this.lookups++;
    const waitMs = this.isDown ? unansweredMs : this.#random.between(lookupMsMin, lookupMsMax);
    this.#queue.after(waitMs, () => machine.links.whenAwake(() => this.#answer(endpoint, onPeer, onFailed)));
  }

  #answer(endpoint: Endpoint, onPeer: (peer: Endpoint) => void, onFailed: () => void): void {
    if (this.isDown) {
      onFailed();
      return;
    }
    const found = this.#random.sample(this.#announced, peersPerAnswerMax);
    if (!this.#known.has(endpoint.host)) {
      this.#known.add(endpoint.host);
      this.#announced.push(endpoint);
    }
    for (const peer of found) onPeer(peer);
  }

  /**
   * A look-up asks `concurrency` nodes a hop, as many hops as halve the distance by log2 K each, then the K closest; the
   * announcement goes to these. Each question has an answer.
   */
  traffic(nodes: number): DhtTraffic {
    const closest = Math.min(closestNodes, nodes);
    const hops = nodes > closestNodes ? Math.ceil(Math.log2(nodes / closestNodes) / Math.log2(closestNodes)) : 0;
    const perLookup = 2 * (hops * concurrency + closest) + 2 * closest;
    return {
      lookupsPerNode: this.lookups / nodes,
      // Who asks and who answers both see a datagram.
      datagramsPerNode: (2 * perLookup * this.lookups) / nodes,
      datagramsAtKeyNodes: 4 * this.lookups,
    };
  }
}
