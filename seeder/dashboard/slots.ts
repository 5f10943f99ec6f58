/** Gives things small numbers that stay theirs until they are gone; the numbers of what is gone are given again. */
export class Slots<T> {
  readonly #entries: (T | undefined)[] = [];
  readonly #free: number[] = [];

  /** How many numbers were ever in use at once. */
  get length(): number {
    return this.#entries.length;
  }

  get count(): number {
    return this.#entries.length - this.#free.length;
  }

  add(make: (index: number) => T): T {
    const index = this.#free.pop() ?? this.#entries.length;
    const entry = make(index);
    this.#entries[index] = entry;
    return entry;
  }

  get(index: number): T | undefined {
    return this.#entries[index];
  }

  remove(index: number): void {
    if (this.#entries[index] === undefined) return;
    this.#entries[index] = undefined;
    this.#free.push(index);
  }

  *[Symbol.iterator](): Iterator<T> {
    for (const entry of this.#entries) if (entry !== undefined) yield entry;
  }
}
