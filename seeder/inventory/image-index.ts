/**
 * Who holds an image and who fetches it, by digest: the inventory read from the images' side. Every change of a node's
 * holdings goes through here, so that both sides agree.
 */
import type { HoldingFacts } from "./facts.ts";
import { HeldImages } from "./held-images.ts";

/** What the index keeps in a node. */
export interface Holder {
  held: HeldImages;
}

/** An image that some node holds or fetches. */
export interface IndexedImage<Node extends Holder> {
  readonly digest: string;
  /** Its short name within this inventory; given to another image when nobody holds or fetches this one. */
  readonly number: number;
  /** In no order. */
  readonly holders: Node[];
  /** In no order. */
  readonly fetching: Bag<Node>;
}

export class ImageIndex<Node extends Holder> {
  readonly #byDigest = new Map<string, IndexedImage<Node>>();
  readonly #byNumber: (IndexedImage<Node> | undefined)[] = [];
  readonly #freeNumbers: number[] = [];

  find(digest: string): IndexedImage<Node> | undefined {
    return this.#byDigest.get(digest);
  }

  /** Digests of all images that some node holds or fetches. */
  digests(): IterableIterator<string> {
    return this.#byDigest.keys();
  }

  /** What a node holds. */
  *holdingsOf(node: Node): IterableIterator<HoldingFacts> {
    for (let row = 0; row < node.held.count; row++) yield this.#holdingAt(node, row);
  }

  /** A node's holding of an image. */
  holding(node: Node, image: IndexedImage<Node>): HoldingFacts | undefined {
    const row = node.held.rowOf(image.number);
    return row < 0 ? undefined : this.#holdingAt(node, row);
  }

  /** Adds or changes a holding; gives the one before, if there was one. */
  hold(node: Node, { digest, ...held }: HoldingFacts): HoldingFacts | undefined {
    const image = this.#claim(digest);
    const row = node.held.rowOf(image.number);
    if (row < 0) {
      node.held.add(image.number, held, image.holders.push(node) - 1);
      return undefined;
    }
    const before = this.#holdingAt(node, row);
    node.held.update(row, held);
    return before;
  }

  /** Takes a holding away and gives it, if it was there. */
  drop(node: Node, digest: string): HoldingFacts | undefined {
    const image = this.#byDigest.get(digest);
    const row = image ? node.held.rowOf(image.number) : -1;
    if (!image || row < 0) return undefined;
    const before = this.#holdingAt(node, row);
    this.#leave(image, node.held.placeAt(row));
    node.held.remove(row);
    return before;
  }

  /** Has the node hold these and nothing else; says whether that is a change. */
  replace(node: Node, holdings: readonly HoldingFacts[]): boolean {
    let changed = false;
    const images = new Map(holdings.map((holding) => [this.#claim(holding.digest), holding]));
    const before = node.held;
    const after = new HeldImages(images.size);
    for (const [image, holding] of [...images].sort(([a], [b]) => a.number - b.number)) {
      const row = before.rowOf(image.number);
      changed ||= row < 0 || before.update(row, holding);
      after.add(image.number, holding, row < 0 ? image.holders.push(node) - 1 : before.placeAt(row));
    }
    node.held = after;
    for (let row = 0; row < before.count; row++) {
      const image = this.#at(before.imageAt(row));
      if (images.has(image)) continue;
      changed = true;
      this.#leave(image, before.placeAt(row));
    }
    return changed;
  }

  /** Has the node fetch images of these digests instead of those. */
  fetch(node: Node, before: readonly string[], after: readonly string[]): void {
    // Most reports tell of the same fetches as the last one.
    if (before.length === after.length && before.every((digest, index) => digest === after[index])) return;
    const kept = new Set(after);
    for (const digest of kept) this.#claim(digest).fetching.add(node);
    for (const digest of before) {
      const image = this.#byDigest.get(digest);
      if (!image || kept.has(digest)) continue;
      image.fetching.remove(node);
      this.#release(image);
    }
  }

  #holdingAt(node: Node, row: number): HoldingFacts {
    const { digest } = this.#at(node.held.imageAt(row));
    const { allocatedBytes, pinned, lastUsedAtMs } = node.held.at(row);
    return { digest, allocatedBytes, pinned, lastUsedAtMs };
  }

  #at(number: number): IndexedImage<Node> {
    return this.#byNumber[number] as IndexedImage<Node>;
  }

  /** Takes the holder at that place away; the last takes its place. */
  #leave(image: IndexedImage<Node>, place: number): void {
    const last = image.holders.pop() as Node;
    if (place < image.holders.length) {
      image.holders[place] = last;
      last.held.move(last.held.rowOf(image.number), place);
    }
    this.#release(image);
  }

  #claim(digest: string): IndexedImage<Node> {
    const known = this.#byDigest.get(digest);
    if (known) return known;
    const number = this.#freeNumbers.pop() ?? this.#byNumber.length;
    const image: IndexedImage<Node> = { digest, number, holders: [], fetching: new Bag() };
    this.#byDigest.set(digest, image);
    this.#byNumber[number] = image;
    return image;
  }

  #release({ digest, number, holders, fetching }: IndexedImage<Node>): void {
    if (holders.length > 0 || fetching.items.length > 0) return;
    this.#byDigest.delete(digest);
    this.#byNumber[number] = undefined;
    this.#freeNumbers.push(number);
  }
}

/** Things of which any can be drawn, and any removed, without a look at the others. */
export class Bag<T> {
  readonly items: T[] = [];
  readonly #at = new Map<T, number>();

  add(item: T): void {
    if (this.#at.has(item)) return;
    this.#at.set(item, this.items.length);
    this.items.push(item);
  }

  remove(item: T): void {
    const at = this.#at.get(item);
    if (at === undefined) return;
    const last = this.items.pop() as T;
    this.#at.delete(item);
    if (last === item) return;
    this.items[at] = last;
    this.#at.set(last, at);
  }
}
