/** A simulated node's storage: which pieces it has. The bytes are those of the shared content, or what a liar makes of them. */
import type { Bitfield } from "../../swarm/bitfield.ts";
import { pieceBytesOf } from "../../swarm/metainfo.ts";
import type { PieceStorage } from "../../swarm/types.ts";
import type { Content } from "./content.ts";

/** How a node answers who asks for a block of a piece. */
export type Conduct =
  | "honest"
  /** It says that it has every piece, and cannot read most of them. */
  | "refuses"
  /** It says so, and never answers. */
  | "silent"
  /** It sends wrong bytes. */
  | "corrupts";

export class SimStorage implements PieceStorage {
  readonly have: Bitfield;
  onFault: (error: Error) => void = () => {};
  readonly #content: Content;
  readonly #conduct: Conduct;
  /** Pieces about which it lies, of a node that is not honest. */
  readonly #lies: (index: number) => boolean;
  readonly #onViolation: (what: string) => void;

  constructor(options: {
    content: Content;
    have: Bitfield;
    conduct?: Conduct;
    lies?: (index: number) => boolean;
    onViolation: (what: string) => void;
  }) {
    this.have = options.have;
    this.#content = options.content;
    this.#conduct = options.conduct ?? "honest";
    this.#lies = options.lies ?? (() => false);
    this.#onViolation = options.onViolation;
  }

  get doneBytes(): number {
    const { info } = this.#content;
    let bytes = this.have.count * info.pieceLengthBytes;
    const last = info.pieceCount - 1;
    if (this.have.has(last)) bytes -= info.pieceLengthBytes - pieceBytesOf(info, last);
    return bytes;
  }

  verify(index: number, piece: Uint8Array): boolean {
    return this.#content.isPiece(index, piece);
  }

  async write(index: number, piece: Uint8Array): Promise<void> {
    if (!this.#content.isPiece(index, piece)) this.#onViolation(`wrong bytes were kept as piece ${index}`);
    if (!this.have.add(index)) this.#onViolation(`piece ${index} was written twice`);
  }

  readNow(): boolean {
    return false;
  }

  async read(offset: number, buffers: readonly Uint8Array[]): Promise<void> {
    const { pieceLengthBytes } = this.#content.info;
    const index = Math.floor(offset / pieceLengthBytes);
    if (this.#conduct !== "honest" && this.#lies(index)) {
      if (this.#conduct === "refuses") throw new Error("nothing is here");
      if (this.#conduct === "silent") await new Promise(() => {});
    } else if (!this.have.has(index)) {
      this.#onViolation(`piece ${index} was read before it was here`);
    }
    // The network puts the content in their place.
    if (this.#content.isUniform) return;
    let begin = offset - index * pieceLengthBytes;
    for (const buffer of buffers) {
      buffer.set(this.#content.view(index, begin, buffer.length));
      if (this.#conduct === "corrupts" && this.#lies(index)) buffer[buffer.length >> 1]! ^= 0x55;
      begin += buffer.length;
    }
  }

  async flush(): Promise<void> {}

  async close(): Promise<void> {}
}
