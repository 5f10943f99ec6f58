/** A torrent's data, shared by all simulated nodes, and its info dictionary. */
import { hash } from "node:crypto";
import { infoBytesOf, pieceBytesOf, torrentInfoFromInfoBytes } from "../../swarm/metainfo.ts";
import type { TorrentInfo } from "../../swarm/types.ts";
import { type Block, pieceHeadBytes, writePieceHead } from "../../swarm/wire.ts";
import type { Random } from "./random.ts";

export class Content {
  readonly info: TorrentInfo;
  readonly isUniform: boolean;
  readonly #pieces: Buffer[];
  readonly #digest: string;
  /** What was asked for before, by where it begins: all nodes send the same. */
  readonly #heads = new Map<number, Buffer>();
  readonly #views = new Map<number, Buffer>();

  private constructor(lengthBytes: number, pieceLengthBytes: number, pieces: Buffer[]) {
    const hashes = new Map<Buffer, Buffer>();
    for (const piece of new Set(pieces)) hashes.set(piece, hash("sha1", piece, "buffer"));
    const pieceHashes = Buffer.concat(pieces.map((piece) => hashes.get(piece) as Buffer));
    this.info = torrentInfoFromInfoBytes(infoBytesOf({ name: "image", lengthBytes, pieceLengthBytes, pieceHashes }));
    this.#pieces = pieces;
    this.isUniform = hashes.size === 1 && pieces.length > 1;
    this.#digest = this.#digestNow();
  }

  /** Pieces that all differ. */
  static random(lengthBytes: number, pieceLengthBytes: number, random: Random): Content {
    const pieces: Buffer[] = [];
    for (let at = 0; at < lengthBytes; at += pieceLengthBytes) {
      pieces.push(random.bytes(Math.min(pieceLengthBytes, lengthBytes - at)));
    }
    return new Content(lengthBytes, pieceLengthBytes, pieces);
  }

  /**
   * Pieces that are all the same, so that ten thousand nodes can assemble theirs in one and the same buffer. Which piece
   * is which cannot be told by its bytes then: for measurements, not for the search for faults.
   */
  static uniform(pieceCount: number, pieceLengthBytes: number, random: Random): Content {
    const piece = random.bytes(pieceLengthBytes);
    return new Content(pieceCount * pieceLengthBytes, pieceLengthBytes, new Array<Buffer>(pieceCount).fill(piece));
  }

  isPiece(index: number, bytes: Uint8Array): boolean {
    return this.#pieces[index]!.equals(bytes);
  }

  /** A view of a part of a piece; nobody may write to it. */
  view(index: number, begin: number, length: number): Buffer {
    if (begin + length > pieceBytesOf(this.info, index)) throw new Error("assertion: a read beyond the piece's end");
    const place = this.isUniform ? begin : index * this.info.pieceLengthBytes + begin;
    const known = this.#views.get(place);
    if (known?.length === length) return known;
    const view = this.#pieces[index]!.subarray(begin, begin + length);
    this.#views.set(place, view);
    return view;
  }

  /** What goes before a block's bytes on the wire; nobody may write to it. */
  headOf(block: Block): Buffer {
    const place = block.index * this.info.pieceLengthBytes + block.begin;
    const known = this.#heads.get(place);
    // A block of another length has another head.
    if (known?.readUInt32BE(0) === pieceHeadBytes - 4 + block.length) return known;
    const head = Buffer.allocUnsafeSlow(pieceHeadBytes);
    writePieceHead(head, 0, block);
    this.#heads.set(place, head);
    return head;
  }

  /** Whether anybody has written to it. */
  get isIntact(): boolean {
    return this.#digestNow() === this.#digest;
  }

  #digestNow(): string {
    return hash("sha1", Buffer.concat([...new Set(this.#pieces)]));
  }
}
