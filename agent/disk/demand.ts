/**
 * What VMs wait for, and the torrents that bring it: ranges that reads wait for become pieces that a torrent wants before
 * everything else, and pieces that arrive become bits that the disk worker reads.
 *
 * Bits are set only for pieces that are verified and in the file, and all of them are taken back before what is in the file
 * is doubted, replaced or thrown away. A piece of zeros needs no bit: its hash says what it reads as.
 */
import type { Torrent } from "../../swarm/torrent.ts";
import type { Clock, TorrentInfo } from "../../swarm/types.ts";
import type { ImageReaders } from "../fetch/image-readers.ts";
import { wantOf } from "./demand-pieces.ts";
import type { DemandedRange, SharedPieces } from "./messages.ts";
import { PieceBits } from "./piece-bits.ts";

/** What the disk worker is told of pieces. */
export interface PieceListener {
  /** Which pieces there are is another matter than before, or known for the first time. */
  piecesChanged(digest: string): void;
  /** Bits were set. */
  arrived(digest: string): void;
}

interface DemandedImage {
  torrent: Torrent | undefined;
  info: TorrentInfo | undefined;
  bits: PieceBits | undefined;
  ranges: readonly DemandedRange[];
  /** Since when reads have waited without a break. */
  waitingSinceMs: number | undefined;
  /** Exports that read it. */
  users: number;
  isTelling: boolean;
}

/** Images that nobody reads and no torrent brings any more of which it is remembered what has come. */
const idleMax = 16;

export class Demand implements ImageReaders {
  listener: PieceListener = { piecesChanged: () => {}, arrived: () => {} };
  readonly #clock: Clock;
  readonly #images = new Map<string, DemandedImage>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** An export reads the image, until the function returned is called. */
  use(digest: string): () => void {
    const image = this.#image(digest);
    image.users++;
    return () => {
      image.users--;
      this.#forgetIfIdle(digest, image);
    };
  }

  /** Which pieces of an image can be read; undefined while that is not known. */
  piecesOf(digest: string): SharedPieces | undefined {
    return this.#images.get(digest)?.bits?.shared;
  }

  /** The pieces of an image's torrent; undefined while that is not known. */
  infoOf(digest: string): TorrentInfo | undefined {
    return this.#images.get(digest)?.info;
  }

  /** All that reads of an image wait for, and will probably read next, from now on. */
  demand(digest: string, ranges: readonly DemandedRange[]): void {
    const image = this.#image(digest);
    image.ranges = ranges;
    if (!ranges.some(({ ahead }) => !ahead)) image.waitingSinceMs = undefined;
    else image.waitingSinceMs ??= this.#clock.now();
    this.#applyWant(image);
    this.#forgetIfIdle(digest, image);
  }

  /** Since when reads of an image have waited without a break, as the clock tells it; undefined if none does. */
  waitingSinceMs(digest: string): number | undefined {
    return this.#images.get(digest)?.waitingSinceMs;
  }

  join(digest: string, torrent: Torrent): (isSound: boolean) => void {
    const image = this.#image(digest);
    image.torrent = torrent;
    const onOpened = () => this.#opened(digest, image, torrent);
    const onPiece = (index: number) => this.#arrived(digest, image, index);
    torrent.on("opened", onOpened);
    torrent.on("piece", onPiece);
    if (torrent.have) onOpened();
    return (isSound) => {
      torrent.off("opened", onOpened);
      torrent.off("piece", onPiece);
      if (image.torrent !== torrent) return;
      image.torrent = undefined;
      if (!isSound) this.doubt(digest);
      this.#forgetIfIdle(digest, image);
    };
  }

  doubt(digest: string): void {
    const image = this.#images.get(digest);
    if (!image?.bits) return;
    image.bits.clear();
    image.bits = undefined;
    this.listener.piecesChanged(digest);
  }

  #opened(digest: string, image: DemandedImage, torrent: Torrent): void {
    const { info, have } = torrent;
    if (!info || !have) return;
    image.bits?.clear();
    image.info = info;
    image.bits = new PieceBits(info, have);
    this.listener.piecesChanged(digest);
    this.#applyWant(image);
  }

  #arrived(digest: string, image: DemandedImage, index: number): void {
    image.bits?.add(index);
    if (image.isTelling || image.users === 0) return;
    image.isTelling = true;
    // At the end of the turn: on a quick link many come in one.
    setImmediate(() => {
      image.isTelling = false;
      this.listener.arrived(digest);
    });
  }

  #applyWant({ torrent, info, ranges }: DemandedImage): void {
    if (torrent && info) torrent.want(wantOf(ranges, info.pieceLengthBytes));
  }

  #image(digest: string): DemandedImage {
    const known = this.#images.get(digest);
    if (known) return known;
    const nothing = { torrent: undefined, info: undefined, bits: undefined, waitingSinceMs: undefined };
    const image: DemandedImage = { ...nothing, ranges: [], users: 0, isTelling: false };
    this.#images.set(digest, image);
    return image;
  }

  /** What has come is remembered for a while: an image may be attached while its sha256 is still being looked at. */
  #forgetIfIdle(digest: string, image: DemandedImage): void {
    if (!isIdle(image) || this.#images.get(digest) !== image) return;
    this.#images.delete(digest);
    if (!image.bits) return;
    this.#images.set(digest, image);
    const idle = [...this.#images].filter(([, each]) => isIdle(each));
    for (const [other] of idle.slice(0, -idleMax)) this.#images.delete(other);
  }
}

function isIdle({ torrent, users, ranges }: DemandedImage): boolean {
  return !torrent && users === 0 && ranges.length === 0;
}
