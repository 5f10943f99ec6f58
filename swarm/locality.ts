/**
 * Which pieces a node asks of another zone: pure but for the peers it looks at. The link between zones may be narrow, so
 * a piece should cross it about once, and go on from there within the zone.
 *
 * Nobody is asked who fetches what: of those in a zone, each knows by a hash who is first to fetch a piece from afar, who
 * second, and so on (rendezvous hashing). Those that come later wait for a near one to have it. When nothing arrives for
 * a while their turn comes, and stays until near ones deliver again, so that nobody waits for ever on one that cannot.
 */

/** How long nothing may arrive before the next in line fetches from afar too, then the next two, then four. */
const farPatienceMs = 3_000;
/** A neighbour that has said nothing for this long fetches nothing: it would tell what it has. */
const nearIdleMs = 15_000;
/** Part of the pieces that a zone fetches from afar all the same: near ones are preferred, never exclusively. */
const farShare = 1 / 16;
/** Far peers asked at once while there are near ones: more only begin more pieces, and end each of them later. */
const farPeersAskedMax = 4;

/** What there is to know of one piece. */
export interface FarPiece {
  /** A neighbour in our zone has it. */
  isNear: boolean;
  /** How many neighbours in our zone come before us in fetching it from afar. */
  rank: number;
  /** Uniform in [0, 1), the same each time for the same piece and node. */
  draw: number;
}

/**
 * Whether a piece may be asked of another zone.
 *
 * @param nearCount neighbours in our zone
 * @param turn how often nothing has arrived for a while since a near one last delivered
 */
export function mayAskFar({ isNear, rank, draw }: FarPiece, nearCount: number, turn: number): boolean {
  if (nearCount === 0 || draw < farShare / (nearCount + 1)) return true;
  return rank < 2 ** turn && (turn > 0 || !isNear);
}

export interface PieceSet {
  has(index: number): boolean;
}

/** What is looked at of a peer. */
export interface LocalityPeer {
  /** Hex digits. */
  readonly id: string;
  readonly zone: string | undefined;
  readonly has: PieceSet | undefined;
  readonly requestsLive: number;
  readonly lastHeardAtMs: number;
  readonly lastBlockAtMs: number;
}

export interface LocalityOptions<Peer> {
  zone: string;
  /** Our own peer id, hex digits. */
  ownId: string;
  pieceCount: number;
  /** Peers past their handshake. */
  peers: ReadonlySet<Peer>;
}

const nothing: PieceSet = { has: () => false };
const rankUnknown = 0xff;

export class Locality<Peer extends LocalityPeer> {
  readonly #options: LocalityOptions<Peer>;
  readonly #ownSeed: number;
  /** Neighbours in our zone that are at work, and by piece how many of them come before us. */
  #near: Peer[] = [];
  #nearSeeds: number[] = [];
  readonly #ranks: Uint8Array;
  #turn = 0;
  #turnedAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: LocalityOptions<Peer>) {
    this.#options = options;
    this.#ownSeed = seedOf(options.ownId);
    this.#ranks = new Uint8Array(options.pieceCount).fill(rankUnknown);
  }

  /** Whether the peer is in another zone, or says nothing of one. */
  isFar(peer: Peer): boolean {
    return peer.zone !== this.#options.zone;
  }

  /** Of the pieces that the peer has, those that may be asked of it. */
  piecesOf(peer: Peer, nowMs: number): PieceSet {
    const { has } = peer;
    if (!has || !this.isFar(peer)) return has ?? nothing;
    this.#lookAround(nowMs);
    const nearCount = this.#near.length;
    if (nearCount === 0) return has;
    const turn = this.#turnAt(nowMs);
    if (peer.requestsLive === 0 && this.#farAsked() >= farPeersAskedMax + turn) return nothing;
    return { has: (index) => has.has(index) && mayAskFar(this.#piece(index), nearCount, turn) };
  }

  #turnAt(nowMs: number): number {
    if (lastBlockOf(this.#near) > this.#turnedAtMs) this.#turn = 0;
    const sinceMs = nowMs - Math.max(lastBlockOf(this.#options.peers), this.#turnedAtMs);
    if (sinceMs >= farPatienceMs) {
      this.#turn++;
      this.#turnedAtMs = nowMs;
    }
    return this.#turn;
  }

  #piece(index: number): FarPiece {
    const draw = mix(this.#ownSeed, ~index) / 2 ** 32;
    return { isNear: this.#near.some(({ has }) => has?.has(index)), rank: this.#rank(index), draw };
  }

  #rank(index: number): number {
    const known = this.#ranks[index]!;
    if (known !== rankUnknown) return known;
    const own = mix(this.#ownSeed, index);
    let rank = 0;
    for (const seed of this.#nearSeeds) if (mix(seed, index) < own) rank++;
    this.#ranks[index] = Math.min(rank, rankUnknown - 1);
    return rank;
  }

  /** Notes who is near; ranks change with them. */
  #lookAround(nowMs: number): void {
    const near: Peer[] = [];
    for (const peer of this.#options.peers) {
      if (peer.zone === this.#options.zone && nowMs - peer.lastHeardAtMs < nearIdleMs) near.push(peer);
    }
    if (near.length === this.#near.length && near.every((peer, at) => peer === this.#near[at])) return;
    this.#near = near;
    this.#nearSeeds = near.map(({ id }) => seedOf(id));
    this.#ranks.fill(rankUnknown);
  }

  #farAsked(): number {
    let count = 0;
    for (const { zone, requestsLive } of this.#options.peers) {
      if (zone !== this.#options.zone && requestsLive > 0) count++;
    }
    return count;
  }
}

/** When a block last came from any of them or, if none has since, was asked for. */
function lastBlockOf(peers: Iterable<LocalityPeer>): number {
  let atMs = Number.NEGATIVE_INFINITY;
  for (const { lastBlockAtMs } of peers) atMs = Math.max(atMs, lastBlockAtMs);
  return atMs;
}

/** The end of a peer id is random, its beginning names the client. */
function seedOf(id: string): number {
  return Number.parseInt(id.slice(-8), 16) >>> 0;
}

/** A number below 2^32 that looks random (MurmurHash3's finalizer). */
function mix(seed: number, index: number): number {
  let hash = seed ^ Math.imul(index + 1, 0x9e3779b1);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
