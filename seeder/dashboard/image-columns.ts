/**
 * Which images have a column on the board: those of the catalog, and others that nodes have or fetch. Boot images have none:
 * they come and go with their images.
 */
import type { ImageChange } from "../catalog/changes.ts";
import type { Image } from "../catalog/image.ts";
import { imagesOnBoardMax } from "./limits.ts";
import { Slots } from "./slots.ts";

export interface Column {
  readonly index: number;
  readonly digest: string;
  name: string;
  sizeBytes: number;
  inCatalog: boolean;
  hasTorrent: boolean;
}

/** Digests remembered as those of boot images that are in the catalog no more, while nodes still have them. */
const bootDigestsMax = 4_096;

export class ImageColumns {
  readonly #columns = new Slots<Column>();
  readonly #byDigest = new Map<string, Column>();
  /** What the catalog has, without boot images. */
  readonly #catalog = new Map<string, Image>();
  readonly #bootDigests = new Set<string>();
  /** On nodes, and without a column as yet: by digest, the name that the node knows. */
  readonly #seen = new Map<string, string>();
  #changed = new Set<Column>();
  #gone: number[] = [];

  /** Images of the catalog, without boot images. */
  get catalogCount(): number {
    return this.#catalog.size;
  }

  /** Images that have no place on the board. */
  get leftOutCount(): number {
    let count = 0;
    for (const digest of this.#catalog.keys()) if (!this.#byDigest.has(digest)) count++;
    for (const digest of this.#seen.keys()) if (!this.#catalog.has(digest) && !this.#bootDigests.has(digest)) count++;
    return count;
  }

  /** Bytes of a row. */
  get length(): number {
    return this.#columns.length;
  }

  [Symbol.iterator](): Iterator<Column> {
    return this.#columns[Symbol.iterator]();
  }

  at(index: number): Column | undefined {
    return this.#columns.get(index);
  }

  indexOf(digest: string): number | undefined {
    return this.#byDigest.get(digest)?.index;
  }

  catalogChanged({ kind, image }: ImageChange): void {
    const { digest } = image;
    if (image.boot) {
      this.#bootDigests.add(digest);
      if (this.#bootDigests.size > bootDigestsMax) this.#bootDigests.delete(this.#bootDigests.values().next().value!);
      return;
    }
    if (kind === "retired") this.#catalog.delete(digest);
    else this.#catalog.set(digest, image);
    const column = this.#byDigest.get(digest);
    if (!column) return;
    column.inCatalog = kind !== "retired";
    column.name = image.names[0] ?? column.name;
    column.hasTorrent = image.torrent !== undefined;
    this.#changed.add(column);
  }

  /** A node has or fetches an image that has no column; `name` is what it calls it, or empty. */
  noteSeen(digest: string, name: string): void {
    if (this.#seen.size >= imagesOnBoardMax && !this.#seen.has(digest)) return;
    this.#seen.set(digest, name || (this.#seen.get(digest) ?? ""));
  }

  /**
   * Gives columns to what has none, and takes them from what is neither in the catalog nor, as `isEmpty` says, on a node.
   * Returns the indexes of new columns, for which all nodes must be looked at.
   */
  settle(isEmpty: (index: number) => boolean): Set<number> {
    for (const column of this.#columns) if (!column.inCatalog && isEmpty(column.index)) this.#remove(column);
    const seen = [...this.#seen].filter(([digest]) => !this.#byDigest.has(digest) && !this.#bootDigests.has(digest));
    this.#seen.clear();
    const added = new Set<number>();
    // What nodes have goes before what only the catalog has, and takes an empty column from it if need be.
    for (const [digest, name] of seen) {
      if (this.#columns.count >= imagesOnBoardMax) {
        const empty = [...this.#columns].find(({ index }) => isEmpty(index));
        if (empty) this.#remove(empty);
      }
      if (this.#columns.count < imagesOnBoardMax) added.add(this.#add(digest, name));
      else this.#seen.set(digest, name);
    }
    for (const digest of this.#catalog.keys()) {
      if (this.#columns.count >= imagesOnBoardMax) break;
      if (!this.#byDigest.has(digest)) added.add(this.#add(digest, ""));
    }
    return added;
  }

  /** Columns that are new or changed, and indexes of those that are gone, since the last call. */
  takeChanged(): { changed: Column[]; gone: number[] } {
    const taken = { changed: [...this.#changed], gone: this.#gone };
    this.#changed = new Set();
    this.#gone = [];
    return taken;
  }

  #add(digest: string, name: string): number {
    const image = this.#catalog.get(digest);
    const column = this.#columns.add((index) => ({
      index,
      digest,
      name: image?.names[0] ?? name,
      sizeBytes: image?.sizeBytes ?? 0,
      inCatalog: image !== undefined,
      hasTorrent: image?.torrent !== undefined,
    }));
    this.#byDigest.set(digest, column);
    this.#changed.add(column);
    return column.index;
  }

  #remove(column: Column): void {
    this.#columns.remove(column.index);
    this.#byDigest.delete(column.digest);
    this.#changed.delete(column);
    this.#gone.push(column.index);
  }
}
