import type { Bitfield } from "../../swarm/bitfield.ts";
import type { TorrentInfo } from "../../swarm/types.ts";
import { zeroPiecesOf } from "../../swarm/zero-pieces.ts";
import type { SharedPieces } from "./messages.ts";

/** Which pieces of an image can be read, in memory that the disk worker reads. */
export class PieceBits {
  readonly shared: SharedPieces;
  readonly #have: Uint8Array;
  readonly #zero: Uint8Array;

  constructor(info: TorrentInfo, have: Bitfield) {
    this.shared = {
      pieceLengthBytes: info.pieceLengthBytes,
      have: new SharedArrayBuffer(have.bytes.length),
      zero: new SharedArrayBuffer(have.bytes.length),
    };
    this.#have = new Uint8Array(this.shared.have);
    this.#zero = new Uint8Array(this.shared.zero);
    this.#have.set(have.bytes);
    this.#zero.set(zeroPiecesOf(info).bytes);
  }

  /** A piece is verified and in the file. */
  add(index: number): void {
    Atomics.or(this.#have, index >> 3, 0x80 >> (index & 7));
  }

  /** Nothing in the file is to be read any more; the other thread sees that at once. */
  clear(): void {
    for (let at = 0; at < this.#have.length; at++) Atomics.store(this.#have, at, 0);
  }
}
