import { Deal } from "./deal.ts";
import { blockBytes, blockBytesMax } from "./limits.ts";
import type { Locality } from "./locality.ts";
import { pieceBytesOf } from "./metainfo.ts";
import type { Peer } from "./peer.ts";
import type { PieceEvents } from "./piece-events.ts";
import type { Clock, PieceStorage, TorrentInfo } from "./types.ts";
import type { Block } from "./wire.ts";

export interface GivingOptions extends Pick<PieceEvents, "strike"> {
  info: TorrentInfo;
  storage: PieceStorage;
  clock: Clock;
  random: () => number;
  locality: Locality<Peer> | undefined;
}

/** What peers are given: what they ask for, and once nothing is missing here, one piece suggested after the other. */
export class Giving {
  readonly #options: GivingOptions;
  /** Present once nothing is missing. */
  #deal: Deal<Peer> | undefined;

  constructor(options: GivingOptions) {
    this.#options = options;
    if (options.storage.have.isFull) this.#deal = this.#newDeal();
  }

  /** Nothing is missing any more. */
  onComplete(peers: ReadonlySet<Peer>): void {
    this.#deal = this.#newDeal();
    for (const peer of peers) {
      for (let index = 0; index < this.#options.info.pieceCount; index++) {
        if (peer.has?.has(index)) this.#deal.addPiece(peer, index);
      }
    }
  }

  /** A peer has one more piece. */
  addPiece(peer: Peer, index: number): void {
    this.#deal?.addPiece(peer, index);
  }

  /** A peer has a piece no more. */
  removePiece(index: number): void {
    this.#deal?.removePiece(index);
  }

  /** A peer is gone. */
  forget(peer: Peer): void {
    if (peer.has) this.#deal?.remove(peer, peer.has);
  }

  onRequest(peer: Peer, block: Block): void {
    const { info, clock } = this.#options;
    const fault = requestFault(info, block);
    if (fault) {
      this.#options.strike(peer, fault);
      return;
    }
    if (isFragment(info, block) && !peer.fragments.admits(clock.now())) {
      this.#options.strike(peer, "it asks for parts of blocks without end");
      return;
    }
    if (peer.amChoking || !this.#options.storage.have.has(block.index)) {
      peer.refuse([block]);
      return;
    }
    const { index, begin, length } = block;
    const isQueued = peer.queueUpload({ index, begin, length });
    if (!isQueued) {
      this.#options.strike(peer, "it asks for more blocks at once than any client needs");
      return;
    }
    if (!peer.has?.has(index)) this.#deal?.asked(peer, index);
  }

  /** Peers that may be served from now on. */
  serve(peers: ReadonlySet<Peer>): void {
    this.#deal?.serve(peers);
  }

  /** Whether the peer is to stay choked for now: it is unchoked with its first suggestion. */
  isWaiting(peer: Peer): boolean {
    return this.#deal?.isWaiting(peer) ?? false;
  }

  tick(): void {
    this.#deal?.tick();
  }

  #newDeal(): Deal<Peer> {
    const { info, clock, random, locality } = this.#options;
    const { pieceCount, pieceLengthBytes } = info;
    // A piece in another zone's hand is long on its way, and is not what near ones trade.
    // Where we say of no zone, one that is in some takes us for far.
    const isFar = (peer: Peer) => locality?.isFar(peer) ?? peer.zone !== undefined;
    return new Deal({ pieceCount, pieceLengthBytes, clock, random, isFar });
  }
}

/** What is wrong with a request for a block, whoever asks; undefined if nothing is. */
export function requestFault(info: TorrentInfo, { index, begin, length }: Block): string | undefined {
  if (index >= info.pieceCount) return `it asks for piece ${index} of ${info.pieceCount}`;
  if (length === 0 || length > blockBytesMax) return `it asks for a block of ${length} bytes`;
  if (begin + length > pieceBytesOf(info, index)) return "it asks beyond a piece's end";
  return undefined;
}

/** Whether a request is for less than a block although the piece goes on. */
function isFragment(info: TorrentInfo, { index, begin, length }: Block): boolean {
  return length < blockBytes && begin + length < pieceBytesOf(info, index);
}
