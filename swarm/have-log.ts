/**
 * The pieces of one torrent in the order in which they came, for telling peers of them: each is told when something goes
 * to it anyway, or else after a while. A flash crowd that told each piece to everybody in messages of their own would
 * spend more on them than on the pieces.
 */
export class HaveLog {
  readonly #pieces: number[] = [];

  add(index: number): void {
    this.#pieces.push(index);
  }

  /** What one peer has yet to be told from now on: each call takes out up to `countMax` pieces. */
  reader(): (countMax: number) => readonly number[] {
    let told = this.#pieces.length;
    return (countMax) => {
      if (told === this.#pieces.length) return [];
      const untold = this.#pieces.slice(told, told + countMax);
      told += untold.length;
      return untold;
    };
  }
}
