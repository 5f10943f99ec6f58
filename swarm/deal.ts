/**
 * What a complete node suggests to its takers (BEP 6), and when. Each taker has a few pieces in hand, and gets the next
 * one when one has arrived: more of them at once would all arrive later. It is unchoked with its first suggestion.
 * Which piece to whom: `dealer.ts`.
 */
import type { Bitfield } from "./bitfield.ts";
import { Dealer } from "./dealer.ts";
import type { RateMeter } from "./rate.ts";
import type { Clock } from "./types.ts";
import { encodePieceMessages } from "./wire.ts";

/**
 * Pieces in a taker's hand: at least, and at most; between them what it takes in so many seconds. What sixty takers have in
 * hand is all slow to become whole: with three in each, 100 nodes took a tenth longer to 16 MiB.
 */
const handMin = 1;
const handMax = 64;
const handSeconds = 0.5;
/**
 * All hands together: so much at least, and what goes out in so many seconds. Where sixty takers had a piece each, all were
 * slow to become whole. Who has not got its piece by `freshMs` is slow itself, and is not waited for. What was asked for
 * unbidden takes half of it at most: one that asks for much as it likes must not keep the others from their turns.
 */
const handsBytesMin = 768 * 1024;
const handsPiecesMin = 4;
const handsSeconds = 0.15;
const freshMs = 300;
const unbiddenShare = 1 / 2;

/** What is looked at of a peer. */
export interface Taker {
  readonly fast: boolean;
  readonly has: Bitfield | undefined;
  readonly closed: boolean;
  /** What we send to it. */
  readonly up: RateMeter;
  send(bytes: Uint8Array): void;
  setChoking(choking: boolean): void;
}

export interface DealOptions<Peer> {
  pieceCount: number;
  pieceLengthBytes: number;
  clock: Clock;
  random: () => number;
  /** Whether pieces in the peer's hand are long on their way: it may ask as it likes. */
  isFar: (peer: Peer) => boolean;
}

export class Deal<Peer extends Taker> {
  readonly #options: DealOptions<Peer>;
  readonly #dealer: Dealer<Peer>;
  /** Those that may be served; the longest without a piece dealt first. */
  readonly #takers = new Set<Peer>();

  constructor(options: DealOptions<Peer>) {
    this.#options = options;
    this.#dealer = new Dealer(options.pieceCount, options.random);
  }

  /** A peer has one more piece. */
  addPiece(peer: Peer, index: number): void {
    if (this.#dealer.addPiece(peer, index)) this.#dealRound();
  }

  /** A peer has a piece no more. */
  removePiece(index: number): void {
    this.#dealer.removePiece(index);
  }

  /** A peer is gone. */
  remove(peer: Peer, has: Bitfield): void {
    this.#takers.delete(peer);
    this.#dealer.remove(peer, has);
    this.#dealRound();
  }

  /** A peer asks for a block of a piece that it lacks. */
  asked(peer: Peer, index: number): void {
    this.#dealer.asked(peer, index, this.#options.clock.now());
  }

  tick(): void {
    this.#dealer.expire(this.#options.clock.now());
    this.#dealRound();
  }

  /** Those that may be served from now on. Some of them wait for their first piece, and are unchoked with it. */
  serve(peers: ReadonlySet<Peer>): void {
    for (const taker of this.#takers) if (!peers.has(taker)) this.#takers.delete(taker);
    for (const peer of peers) if (peer.fast && peer.has && !this.#options.isFar(peer)) this.#takers.add(peer);
    this.#dealRound();
  }

  /** Whether the peer is to stay choked until a piece is dealt to it. */
  isWaiting(peer: Peer): boolean {
    return this.#isDealing && this.#takers.has(peer) && !this.#dealer.isKnown(peer);
  }

  /** A single taker may ask as it likes; but who was dealt pieces before relies on it. */
  get #isDealing(): boolean {
    if (this.#takers.size !== 1) return this.#takers.size > 1;
    const [only] = this.#takers;
    return this.#dealer.wasDealt(only as Peer);
  }

  #dealRound(): void {
    if (!this.#isDealing) return;
    const dealt = new Map<Peer, number[]>();
    const sated = new Set<Peer>();
    let room = this.#room();
    while (room > 0) {
      const taker = this.#next(sated);
      if (!taker) break;
      const index = this.#dealOne(taker);
      if (index === undefined) {
        sated.add(taker);
        continue;
      }
      dealt.set(taker, [...(dealt.get(taker) ?? []), index]);
      room--;
    }
    for (const [taker, indices] of dealt) {
      taker.send(encodePieceMessages("suggest", indices));
      taker.setChoking(false);
    }
  }

  /** Pieces that may be dealt now, to all takers together. */
  #room(): number {
    const nowMs = this.#options.clock.now();
    let bytesPerSecond = 0;
    for (const taker of this.#takers) bytesPerSecond += taker.up.bytesPerSecond(nowMs);
    const bytes = Math.max(handsBytesMin, bytesPerSecond * handsSeconds);
    const pieces = Math.max(handsPiecesMin, Math.floor(bytes / this.#options.pieceLengthBytes));
    const { dealt, unbidden } = this.#dealer.inHandsSince(nowMs - freshMs);
    return pieces - dealt - Math.min(unbidden, Math.floor(pieces * unbiddenShare));
  }

  /** Of the takers with room in their hand the one with the fewest pieces; of several, who has waited longest. */
  #next(sated: ReadonlySet<Peer>): Peer | undefined {
    let best: Peer | undefined;
    let bestHand = handMax;
    for (const taker of this.#takers) {
      const hand = this.#dealer.handOf(taker);
      if (hand >= bestHand || taker.closed || sated.has(taker) || !this.#hasRoom(taker, hand)) continue;
      best = taker;
      bestHand = hand;
    }
    return best;
  }

  #hasRoom(taker: Peer, hand: number): boolean {
    if (hand < handMin) return true;
    const bytes = taker.up.bytesPerSecond(this.#options.clock.now()) * handSeconds;
    return hand * this.#options.pieceLengthBytes < bytes;
  }

  #dealOne(taker: Peer): number | undefined {
    const index = this.#dealer.deal(taker, taker.has as Bitfield, this.#options.clock.now());
    if (index === undefined) return undefined;
    // To the end of the line.
    this.#takers.delete(taker);
    this.#takers.add(taker);
    return index;
  }
}
