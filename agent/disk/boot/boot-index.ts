/** Where in memory which bytes of an image are: the segments of its boot image, in order of place. */
import type { Segment } from "../../../boot/boot-image.ts";
import { pageBytes } from "../../../boot/limits.ts";
import type { BootContent } from "./boot-content.ts";

/** A byte range of an image that is in one place. */
export interface BootPart {
  end: number;
  /** Undefined: zeros. */
  content: BootContent | undefined;
  /** Where in the content the range begins. */
  contentOffset: number;
}

export class BootIndex {
  readonly #imageBytes: number;
  readonly #segments: readonly Segment[];
  readonly #starts: Float64Array;
  readonly #contents: readonly (BootContent | undefined)[];
  readonly #own: BootContent;

  /**
   * @param sources by their place in the head; undefined where one is not here
   */
  constructor(
    imageBytes: number,
    segments: readonly Segment[],
    own: BootContent,
    sources: readonly (BootContent | undefined)[],
  ) {
    this.#imageBytes = imageBytes;
    this.#own = own;
    this.#contents = sources;
    this.#segments = segments
      .filter(({ from }) => typeof from !== "number" || sources[from] !== undefined)
      .sort((a, b) => a.page - b.page);
    this.#starts = Float64Array.from(this.#segments, ({ page }) => page * pageBytes);
  }

  /** Bytes that the boot image would take by itself, with what its sources have of it. */
  get neededBytes(): number {
    let pages = 0;
    for (const segment of this.#segments) if (typeof segment.from === "number") pages += segment.pages;
    return this.#own.sizeBytes + pages * pageBytes;
  }

  /** All that the boot image's bytes are in. */
  get contents(): BootContent[] {
    return [this.#own, ...this.#contents.filter((content) => content !== undefined)];
  }

  /** Where the bytes from `offset` on are; a number if they are not here: the offset from which some are again. */
  partAt(offset: number): BootPart | number {
    const index = this.#lastAtOrBefore(offset);
    const segment = this.#segments[index];
    const start = this.#starts[index] as number;
    const end = segment ? Math.min(start + segment.pages * pageBytes, this.#imageBytes) : 0;
    if (!segment || offset >= end) return this.#starts[index + 1] ?? this.#imageBytes;
    if (segment.from === "zero") return { end, content: undefined, contentOffset: 0 };
    const content = segment.from === "own" ? this.#own : this.#contents[segment.from];
    return { end, content, contentOffset: segment.at * pageBytes + (offset - start) };
  }

  /** The last segment that begins at or before an offset; -1 if none does. */
  #lastAtOrBefore(offset: number): number {
    let low = 0;
    let high = this.#starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#starts[middle] as number) <= offset) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}
