/**
 * One node's holdings, packed into numbers: 32 bytes each, where objects take some 200, because a region has millions of
 * them. Images go by the numbers that the index gives them (image-index.ts); rows are in that order, so that one is found
 * by halving.
 */

/** A row: the image's number, bytes allocated, time of last use or NaN, and the node's place among holders with the pin. */
const rowLength = 4;
/** Rows to spare when there is no room for another: a cache that grows by an image now and then is seldom copied. */
const spareRows = 4;

/** What is known of one holding, beside its image. */
export interface HeldImage {
  allocatedBytes: number;
  pinned: boolean;
  lastUsedAtMs: number | undefined;
}

export class HeldImages {
  #rows: Float64Array;
  #count = 0;

  /** @param capacity how many there will be, if that is known */
  constructor(capacity = 0) {
    this.#rows = new Float64Array(capacity * rowLength);
  }

  get count(): number {
    return this.#count;
  }

  /** The row of an image, by its number; -1 if it is not held. */
  rowOf(image: number): number {
    let low = 0;
    let high = this.#count - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const found = this.#rows[middle * rowLength] as number;
      if (found === image) return middle;
      if (found < image) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  }

  /** The image's number of a row. */
  imageAt(row: number): number {
    return this.#rows[row * rowLength] as number;
  }

  /** The node's place among the image's holders. */
  placeAt(row: number): number {
    return Math.floor((this.#rows[row * rowLength + 3] as number) / 2);
  }

  at(row: number): HeldImage {
    const start = row * rowLength;
    const lastUsedAtMs = this.#rows[start + 2] as number;
    return {
      allocatedBytes: this.#rows[start + 1] as number,
      pinned: (this.#rows[start + 3] as number) % 2 === 1,
      lastUsedAtMs: Number.isNaN(lastUsedAtMs) ? undefined : lastUsedAtMs,
    };
  }

  /** Changes a row, and says whether it was another before. */
  update(row: number, held: HeldImage): boolean {
    const before = this.at(row);
    this.#write(row, held, this.placeAt(row));
    return (
      before.allocatedBytes !== held.allocatedBytes ||
      before.pinned !== held.pinned ||
      before.lastUsedAtMs !== held.lastUsedAtMs
    );
  }

  move(row: number, place: number): void {
    this.#write(row, this.at(row), place);
  }

  /** Adds an image that is not held yet. */
  add(image: number, held: HeldImage, place: number): void {
    if ((this.#count + 1) * rowLength > this.#rows.length) {
      const grown = new Float64Array((this.#count + 1 + spareRows) * rowLength);
      grown.set(this.#rows);
      this.#rows = grown;
    }
    let row = this.#count;
    while (row > 0 && this.imageAt(row - 1) > image) row--;
    this.#rows.copyWithin((row + 1) * rowLength, row * rowLength, this.#count * rowLength);
    this.#rows[row * rowLength] = image;
    this.#write(row, held, place);
    this.#count++;
  }

  remove(row: number): void {
    this.#rows.copyWithin(row * rowLength, (row + 1) * rowLength, this.#count * rowLength);
    this.#count--;
  }

  #write(row: number, held: HeldImage, place: number): void {
    const start = row * rowLength;
    this.#rows[start + 1] = held.allocatedBytes;
    this.#rows[start + 2] = held.lastUsedAtMs ?? Number.NaN;
    this.#rows[start + 3] = place * 2 + (held.pinned ? 1 : 0);
  }
}
