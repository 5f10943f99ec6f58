/**
 * Who sent which block of pieces that failed, to be compared with the piece once it is here: then it is known whose block
 * was bad, and nobody else is blamed.
 */
import { hash } from "node:crypto";
import { blockBytes, suspectPiecesMax } from "./limits.ts";

interface Suspect<Author> {
  author: Author;
  begin: number;
  digest: string;
}

export class Suspicions<Author> {
  /** By piece; the oldest first. */
  readonly #pieces = new Map<number, Suspect<Author>[]>();

  /** A piece of several authors failed; `authors` has one for each block. */
  note(index: number, piece: Uint8Array, authors: readonly Author[]): void {
    const suspects = authors.map((author, at) => {
      const begin = at * blockBytes;
      return { author, begin, digest: digestOf(piece, begin) };
    });
    this.#pieces.set(index, [...(this.#pieces.get(index) ?? []), ...suspects]);
    if (this.#pieces.size > suspectPiecesMax) this.#pieces.delete(this.#pieces.keys().next().value as number);
  }

  /** The piece is here and good: the authors of blocks that were not. */
  clear(index: number, piece: Uint8Array): Set<Author> {
    const suspects = this.#pieces.get(index) ?? [];
    this.#pieces.delete(index);
    return new Set(
      suspects.filter(({ begin, digest }) => digestOf(piece, begin) !== digest).map(({ author }) => author),
    );
  }
}

function digestOf(piece: Uint8Array, begin: number): string {
  return hash("sha1", piece.subarray(begin, begin + blockBytes));
}
