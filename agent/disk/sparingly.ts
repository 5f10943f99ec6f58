/** Between two lines in the log of what is the same but for its details. */
const restMs = 10_000;

/**
 * What whoever is outside can make happen thousands of times a second is told now and then, with how often it was: a log
 * that it fills hides what else is there.
 */
export class Sparingly {
  #toldAtMs = Number.NEGATIVE_INFINITY;
  #count = 0;

  /** How often it happened since it was last told, this time included; undefined if it is not to be told now. */
  note(nowMs: number): number | undefined {
    this.#count += 1;
    if (nowMs - this.#toldAtMs < restMs) return undefined;
    const count = this.#count;
    this.#toldAtMs = nowMs;
    this.#count = 0;
    return count;
  }
}
