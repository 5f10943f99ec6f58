/**
 * The images that exist: published, named, given torrents, retired. Facts are in the store, bytes on the shelf; the catalog
 * alone changes either, one change at a time (commits.ts).
 */
import type { TorrentInfo } from "../../swarm/types.ts";
import type { CatalogStore, Store } from "../store/store.ts";
import { BootImages } from "./boot-images.ts";
import type { ImageChange } from "./changes.ts";
import { Commits } from "./commits.ts";
import { findImage } from "./find-image.ts";
import { adoptCopy, adoptTorrent, followChanges } from "./following.ts";
import type { Image } from "./image.ts";
import { ImageTorrents } from "./image-torrents.ts";
import { imageRefFrom, textOf } from "./names.ts";
import { Publications, type PublicationsParts } from "./publications.ts";
import type { Published, Publisher, PublishRequest } from "./publish.ts";
import { recoverImages } from "./recover.ts";

export interface CatalogParts extends PublicationsParts {
  store: CatalogStore & Pick<Store, "replicas">;
}

export class Catalog implements Publisher {
  readonly #parts: CatalogParts;
  /** What the catalog knows of boots. */
  readonly boot: BootImages;
  readonly #commits = new Commits();
  readonly #torrents: ImageTorrents;
  readonly #publications: Publications;

  constructor(parts: CatalogParts) {
    this.#parts = parts;
    this.boot = new BootImages({
      store: parts.store,
      nowMs: parts.nowMs,
      dataPath: (image) => this.dataPath(image),
      elsewhere: (image) => this.elsewhere(image),
    });
    this.#torrents = new ImageTorrents(parts, this.#commits);
    this.#publications = new Publications(parts, this.boot, this.#torrents, this.#commits);
  }

  /** Compares bytes with facts after a start, and seeds every image that has a torrent. */
  async start(): Promise<void> {
    const { store, shelf, others } = this.#parts;
    const known = await store.listImages();
    const images = others ? known : await recoverImages(this.#parts, known);
    this.#commits.begin(images);
    await shelf.start(images, (digests) => store.removedAmong(digests), others !== undefined);
    await others?.holdAll(shelf.digests);
  }

  /** Ends publications that are under way, and leaves nothing of them. */
  async close(): Promise<void> {
    await this.#publications.close();
    await this.#commits.settle();
  }

  /** All images, by first name. */
  list(): Promise<Image[]> {
    return this.#parts.store.listImages();
  }

  /**
   * The image of that name or digest.
   *
   * @throws Problem "not-found", or "invalid" for what can be neither.
   */
  get(image: string): Promise<Image> {
    return findImage(this.#parts.store, imageRefFrom(image));
  }

  /**
   * The image of that name or digest at once, from memory, if it is known here: what another seeder has changed is known a
   * second or two later.
   *
   * @throws Problem "invalid" for what can be neither.
   */
  recall(image: string): Image | undefined {
    return this.#commits.find(imageRefFrom(image));
  }

  /**
   * Where an image's bytes are.
   *
   * @throws Problem "data-loss" if they are lost, Absent if another seeder has them, or had.
   */
  dataPath(image: Image): string {
    const { shelf, others } = this.#parts;
    if (others && !shelf.holds(image)) throw others.absent(image);
    return shelf.dataPath(image);
  }

  /** Whether an image's bytes are here. */
  holds(image: Image): boolean {
    return this.#parts.shelf.holds(image);
  }

  /** URL of another seeder that has an image's bytes, where they are not here; undefined if they are, or nobody has them. */
  async elsewhere(image: Image): Promise<string | undefined> {
    const { shelf, others } = this.#parts;
    return shelf.holds(image) ? undefined : await others?.elsewhere(image.digest);
  }

  /** Takes in what other seeders have changed: watchers are told, and what was retired goes. All images, by first name. */
  refresh(): Promise<Image[]> {
    return this.#commits.run(() => followChanges(this.#parts, this.#commits));
  }

  /**
   * Takes in an image that has come whole from another seeder, and whose sha256 was found right.
   *
   * @returns whether it is in the catalog still
   */
  adopt({ digest }: Image, info: TorrentInfo | undefined): Promise<boolean> {
    return this.#commits.run(() => adoptCopy(this.#parts, digest, info));
  }

  /** Takes in the torrent of an image whose bytes are here: another seeder has made it. */
  adoptTorrent(image: Image, info: TorrentInfo): Promise<void> {
    return this.#commits.run(() => adoptTorrent(this.#parts, image, info));
  }

  /** Whether an image is served to peers. */
  isSeeded(image: Image): boolean {
    return this.#parts.shelf.isSeeded(image);
  }

  /**
   * An image's torrent.
   *
   * @throws Problem "not-found" if it has none, "data-loss" if it should have one and does not.
   */
  torrentOf(image: Image): Promise<TorrentInfo> {
    return this.#torrents.of(image);
  }

  /**
   * Every image, then every change, until `signal` aborts. A change during the listing may be told of twice.
   *
   * @throws Problem "unavailable" if the reader falls behind.
   */
  async *watch(signal: AbortSignal): AsyncIterable<ImageChange> {
    const changes = this.#commits.subscribe(signal);
    for (const image of await this.list()) yield { kind: "exists", image };
    yield* changes;
  }

  admit(request: PublishRequest): Promise<void> {
    return this.#publications.admit(request);
  }

  publish(bytes: AsyncIterable<Uint8Array>, request: PublishRequest): Promise<Published> {
    return this.#publications.publish(bytes, request);
  }

  /**
   * Makes the torrent of an image that has none, and seeds it. Answers once that is done.
   *
   * @throws Problem "not-found", or "data-loss" if the image's bytes are not there.
   */
  async createTorrent(ref: string): Promise<Image> {
    const image = await this.get(ref);
    if (this.#parts.shelf.isSeeded(image)) return image;
    return this.#torrents.make(image, this.dataPath(image));
  }

  /**
   * Takes a name out of the catalog, or all names if a digest is given. The image goes with its last name, and its boot
   * image with it.
   *
   * @throws Problem "not-found", or "conflict" for a boot image that others refer to.
   */
  retire(ref: string): Promise<Image> {
    const wanted = imageRefFrom(ref);
    return this.#commits.run(async () => {
      const image = await findImage(this.#parts.store, wanted);
      const names = "digest" in wanted ? [] : image.names.filter((name) => name !== wanted.name);
      const left: Image = { ...image, names };
      if ("name" in wanted && names.length > 0) {
        // As with the whole image: a full disk may keep what is left of it from being written down.
        await this.#parts.shelf.unnote(image);
        await this.#parts.store.removeName(wanted.name);
        await this.#parts.shelf.note(left);
        this.#commits.tell({ kind: "changed", image: left });
      } else {
        await this.boot.checkFree(image);
        await this.#remove(image);
        // One may have been kept by the other.
        for (let orphans = await this.boot.orphans(); orphans.length > 0; orphans = await this.boot.orphans()) {
          for (const orphan of orphans) await this.#remove(orphan);
        }
      }
      this.#parts.log.info({ digest: image.digest, retired: textOf(wanted), namesLeft: names }, "retired");
      return left;
    });
  }

  async #remove(image: Image): Promise<void> {
    // What would bring it back after a loss of the database goes before all else.
    await this.#parts.shelf.unnote(image);
    // Facts go first: files without facts are cleaned up at the next start, facts without files would be damage.
    try {
      await this.#parts.store.removeImage(image.digest, this.#parts.nowMs());
    } catch (error) {
      await this.#parts.shelf.note(image);
      throw error;
    }
    this.#commits.tell({ kind: "retired", image: { ...image, names: [] } });
    await this.#parts.others?.endCopy(image.digest);
    await this.#parts.shelf.remove(image);
  }
}
