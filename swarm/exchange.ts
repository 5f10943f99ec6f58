/**
 * One torrent's peer exchange (ut_pex, BEP 11): tells each peer whom else we are connected to, and takes what peers tell.
 * A newcomer is told at once, so that it knows the swarm as soon as it knows one of it; after that come changes alone.
 */
import { familyOf } from "./compact-address.ts";
import { isLoopback, keyOf } from "./endpoint.ts";
import { pexEntriesSentMax, pexIntervalMs, pexIntervalMsMin, pexMessageEveryMs, pexMessagesMax } from "./limits.ts";
import type { Peer } from "./peer.ts";
import { encodePexMessage, type PexPeer, pexFlags, pexMessageFrom } from "./pex-message.ts";
import type { Clock, Endpoint } from "./types.ts";
import { encodeExtended } from "./wire.ts";

export interface PeerExchangeOptions {
  clock: Clock;
  random: () => number;
  /** Peers past their handshake. */
  peers: ReadonlySet<Peer>;
  /** Our own zone: its peers are told of each other first. */
  zone: string | undefined;
  /** Addresses that the peer tells, none of which is certain. */
  onAddresses: (endpoints: readonly Endpoint[], from: Peer) => void;
}

/** How it stands with one peer. */
interface Partner {
  /** What it knows from us. */
  readonly told: Map<string, Endpoint>;
  /** The state of `changes` when it was last told. */
  toldAtChange: number;
  nextAtMs: number;
  waitMs: number;
  /** Messages that it may send; grows again with time. */
  credit: number;
  creditAtMs: number;
}

export class PeerExchange {
  readonly #options: PeerExchangeOptions;
  readonly #partners = new Map<Peer, Partner>();
  /** Every neighbour knows of every other: of each, one key serves all. */
  readonly #keys = new WeakMap<Endpoint, string>();
  /** How often the neighbours have changed. */
  #changes = 0;

  constructor(options: PeerExchangeOptions) {
    this.#options = options;
  }

  /** A peer has come, or it is known by now where it listens. */
  peerChanged(peer: Peer): void {
    this.#changes++;
    this.#tell(peer, this.#options.clock.now());
  }

  peerLeft(peer: Peer): void {
    this.#changes++;
    this.#partners.delete(peer);
  }

  /** Tells those whose time has come. */
  tick(nowMs: number): void {
    for (const peer of this.#options.peers) this.#tell(peer, nowMs);
  }

  /** @throws Error if the message makes no sense, or the peer sends too many. */
  onPayload(peer: Peer, payload: Uint8Array): void {
    this.#charge(this.#partner(peer));
    // What is dropped there may live on; whether it does is for us to see.
    const { added } = pexMessageFrom(payload);
    const mayBeLocal = isLoopback(peer.endpoint.host);
    // From elsewhere, loopback would be this machine: our own services, not peers.
    this.#options.onAddresses(
      added.filter(({ host }) => mayBeLocal || !isLoopback(host)).map(({ host, port }) => ({ host, port })),
      peer,
    );
  }

  #charge(partner: Partner): void {
    const nowMs = this.#options.clock.now();
    partner.credit = Math.min(pexMessagesMax, partner.credit + (nowMs - partner.creditAtMs) / pexMessageEveryMs);
    partner.creditAtMs = nowMs;
    if (partner.credit < 1) throw new Error("it floods us with addresses");
    partner.credit--;
  }

  #partner(peer: Peer): Partner {
    const known = this.#partners.get(peer);
    if (known) return known;
    const times = { nextAtMs: 0, creditAtMs: this.#options.clock.now(), waitMs: pexIntervalMsMin };
    const partner = { ...times, told: new Map(), toldAtChange: 0, credit: pexMessagesMax };
    this.#partners.set(peer, partner);
    return partner;
  }

  #tell(peer: Peer, nowMs: number): void {
    // One that has everything looks for nobody.
    if (peer.extensions.pexId === 0 || peer.closed || peer.has?.isFull) return;
    const partner = this.#partner(peer);
    if (nowMs < partner.nextAtMs || partner.toldAtChange === this.#changes) return;
    const { added, dropped, isAll } = this.#changesFor(peer, partner.told);
    if (isAll) partner.toldAtChange = this.#changes;
    if (added.length === 0 && dropped.length === 0) return;
    for (const endpoint of dropped) partner.told.delete(this.#keyOf(endpoint));
    for (const { listens } of added) partner.told.set(this.#keyOf(listens), listens);
    this.#plan(peer, partner, nowMs);
    peer.send(encodeExtended(peer.extensions.pexId, encodePexMessage({ added, dropped })));
  }

  /** What the peer does not know yet, as much of it as one message may hold. */
  #changesFor(peer: Peer, told: ReadonlyMap<string, Endpoint>) {
    const current = this.#neighboursFor(peer);
    const isOurZones = this.#isNear(peer);
    const added: (PexPeer & { listens: Endpoint; rank: number })[] = [];
    for (const [key, neighbour] of current) {
      if (told.has(key)) continue;
      // At random, so that a newcomer's neighbours are; those of one zone are told of each other first.
      const isFirst = isOurZones && this.#isNear(neighbour);
      added.push({
        ...pexPeerOf(neighbour),
        listens: neighbour.listens as Endpoint,
        rank: this.#options.random() - (isFirst ? 1 : 0),
      });
    }
    added.sort((a, b) => a.rank - b.rank);
    const dropped = [...told.values()].filter((endpoint) => !current.has(this.#keyOf(endpoint)));
    return {
      added: added.slice(0, pexEntriesSentMax),
      dropped: dropped.slice(0, pexEntriesSentMax),
      isAll: added.length <= pexEntriesSentMax && dropped.length <= pexEntriesSentMax,
    };
  }

  /** Whom the peer could connect to: neighbours that can be dialled, but for those that only this machine can. */
  #neighboursFor(peer: Peer): Map<string, Peer> {
    const neighbours = new Map<string, Peer>();
    const mayBeLocal = isLoopback(peer.endpoint.host);
    for (const neighbour of this.#options.peers) {
      const { listens } = neighbour;
      if (neighbour === peer || !listens || (isLoopback(listens.host) && !mayBeLocal)) continue;
      if (familyOf(listens)) neighbours.set(this.#keyOf(listens), neighbour);
    }
    return neighbours;
  }

  #keyOf(endpoint: Endpoint): string {
    const known = this.#keys.get(endpoint);
    if (known !== undefined) return known;
    const key = keyOf(endpoint);
    this.#keys.set(endpoint, key);
    return key;
  }

  #isNear(peer: Peer): boolean {
    return this.#options.zone !== undefined && peer.zone === this.#options.zone;
  }

  #plan(peer: Peer, partner: Partner, nowMs: number): void {
    const waitMs = peer.extensions.takesQuickPex ? partner.waitMs : pexIntervalMs;
    partner.waitMs = Math.min(2 * partner.waitMs, pexIntervalMs);
    // A little more than a minute at the end, never less: some clients count.
    partner.nextAtMs = nowMs + waitMs * (1 + this.#options.random() / 10);
  }
}

function pexPeerOf({ listens, direction, has }: Peer): PexPeer {
  const flags = (has?.isFull ? pexFlags.seed : 0) | (direction === "outbound" ? pexFlags.outgoing : 0);
  return { ...(listens as Endpoint), flags };
}
