/**
 * The images that exist: published, named, given torrents, retired. Facts are in the store, bytes on the shelf; this class
 * alone changes either, one change at a time.
 */
import { isDeepStrictEqual } from "node:util";
import type { Log } from "../../daemon/log.ts";
import { Problem } from "../../daemon/problem.ts";
import { Serial } from "../../daemon/serial.ts";
import type { TorrentInfo } from "../../swarm/types.ts";
import type { CatalogStore, Store } from "../store/store.ts";
import { BootImages } from "./boot-images.ts";
import { ChangeFeed, type ImageChange } from "./changes.ts";
import type { Image, ImageTorrent } from "./image.ts";
import { diskProblem } from "./image-files.ts";
import { KnownImages } from "./known-images.ts";
import { checkedDigest, checkedName, type ImageRef, imageRefFrom, namesPerImageMax, textOf } from "./names.ts";
import type { Others } from "./others.ts";
import type { Published, Publisher, PublishRequest } from "./publish.ts";
import { type Received, type ReceiveParts, receive } from "./receive.ts";
import { recoverImages } from "./recover.ts";
import { torrentFromFile } from "./torrent.ts";

export interface CatalogParts extends ReceiveParts {
  store: CatalogStore & Pick<Store, "replicas">;
  log: Log;
  /** The other seeders of this catalog; absent for one with a store of its own. */
  others?: Others | undefined;
  /** Publications under way at once. */
  publishesActiveMax: number;
  /** Told how long a publication took that succeeded. */
  onPublished: (seconds: number) => void;
}

export class Catalog implements Publisher {
  readonly #parts: CatalogParts;
  /** What the catalog knows of boots. */
  readonly boot: BootImages;
  readonly #changes = new ChangeFeed();
  readonly #commits = new Serial();
  readonly #closing = new AbortController();
  readonly #active = new Set<Promise<unknown>>();
  readonly #torrentsMaking = new Map<string, Promise<Image>>();
  /** The images as watchers know them. */
  #told = new KnownImages();

  constructor(parts: CatalogParts) {
    this.#parts = parts;
    this.boot = new BootImages({
      store: parts.store,
      nowMs: parts.nowMs,
      dataPath: (image) => this.dataPath(image),
      elsewhere: (image) => this.elsewhere(image),
    });
  }

  /** Compares bytes with facts after a start, and seeds every image that has a torrent. */
  async start(): Promise<void> {
    const { store, shelf, others } = this.#parts;
    const known = await store.listImages();
    const images = others ? known : await recoverImages(this.#parts, known);
    this.#told = new KnownImages(images);
    await shelf.start(images, (digests) => store.removedAmong(digests), others !== undefined);
    await others?.holdAll(shelf.digests);
  }

  /** Ends publications that are under way, and leaves nothing of them. */
  async close(): Promise<void> {
    this.#closing.abort(new Problem("unavailable", "the seeder is stopping; try again later"));
    await Promise.allSettled(this.#active);
    await this.#commits.run(async () => {});
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
    return this.#find(imageRefFrom(image));
  }

  /**
   * The image of that name or digest at once, from memory, if it is known here: what another seeder has changed is known a
   * second or two later.
   *
   * @throws Problem "invalid" for what can be neither.
   */
  recall(image: string): Image | undefined {
    return this.#told.find(imageRefFrom(image));
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
    return this.#commits.run(async () => {
      const { store, shelf, others } = this.#parts;
      const images = await store.listImages();
      const now = new Map(images.map((image) => [image.digest, image]));
      const missing = [...this.#told].filter(({ digest }) => !now.has(digest));
      const retired = await store.removedAmong(missing.map(({ digest }) => digest));
      for (const image of missing) {
        this.#tell({ kind: "retired", image: { ...image, names: [] } });
        await others?.endCopy(image.digest);
        if (retired.has(image.digest)) await shelf.remove(image);
        // The database was emptied, or went back to an earlier state.
        else await shelf.withdraw(image);
      }
      for (const image of images) {
        const before = this.#told.find({ digest: image.digest });
        if (!before) {
          this.#tell({ kind: "published", image });
          // What the database had lost may be known again.
          if (!shelf.holds(image)) await shelf.open(image, true);
        }
        const changed = !isDeepStrictEqual(before, image);
        if (before && changed) this.#tell({ kind: "changed", image });
        if (changed) await shelf.note(image);
        if (before && before.torrent?.infohash !== image.torrent?.infohash) await shelf.unseed(before);
      }
      return images;
    });
  }

  /**
   * Takes in an image that has come whole from another seeder, and whose sha256 was found right.
   *
   * @returns whether it is in the catalog still
   */
  adopt({ digest }: Image, info: TorrentInfo | undefined): Promise<boolean> {
    return this.#commits.run(async () => {
      const { store, shelf, others } = this.#parts;
      const image = await store.imageByDigest(digest);
      if (!image) return false;
      if (!shelf.holds(image))
        await shelf.putCopy(image, info?.infohash === image.torrent?.infohash ? info : undefined);
      await shelf.note(image);
      if ((await others?.hold(digest)) !== false) return true;
      await shelf.remove(image);
      return false;
    });
  }

  /** Takes in the torrent of an image whose bytes are here: another seeder has made it. */
  adoptTorrent(image: Image, info: TorrentInfo): Promise<void> {
    return this.#commits.run(async () => {
      const { shelf } = this.#parts;
      if (!shelf.holds(image) || shelf.isSeeded(image)) return;
      await shelf.putTorrent(image.digest, info);
      shelf.seed(image.digest, info);
    });
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
  async torrentOf(image: Image): Promise<TorrentInfo> {
    const make = `\`bootswarm torrent ${image.names[0]}\` (CreateTorrent) makes it`;
    if (!image.torrent) throw new Problem("not-found", `${image.names[0]} has no torrent; ${make}`);
    const info = await this.#parts.shelf.torrentOf(image);
    if (!info) throw new Problem("data-loss", `the torrent of ${image.names[0]} is lost; ${make}`);
    return info;
  }

  /**
   * Every image, then every change, until `signal` aborts. A change during the listing may be told of twice.
   *
   * @throws Problem "unavailable" if the reader falls behind.
   */
  async *watch(signal: AbortSignal): AsyncIterable<ImageChange> {
    const changes = this.#changes.subscribe(signal);
    for (const image of await this.list()) yield { kind: "exists", image };
    yield* changes;
  }

  async admit(request: PublishRequest): Promise<void> {
    const name = checkedName(request.name);
    const digest = request.sha256 === undefined ? undefined : checkedDigest(request.sha256);
    await this.boot.admit(name, request.sizeBytes);
    if (digest !== undefined) await this.#checkNameFree(name, digest);
    if (request.sizeBytes === 0) throw new Problem("invalid", "the image is empty; send its bytes as the body");
    const freeBytes = await this.#parts.shelf.freeBytes();
    if (request.sizeBytes !== undefined && request.sizeBytes > freeBytes) {
      throw new Problem(
        "exhausted",
        `the image has ${request.sizeBytes} bytes, the seeder's disk has ${freeBytes} free; retire images or give it more space`,
      );
    }
  }

  async publish(bytes: AsyncIterable<Uint8Array>, request: PublishRequest): Promise<Published> {
    this.#closing.signal.throwIfAborted();
    if (this.#active.size >= this.#parts.publishesActiveMax) {
      throw new Problem("unavailable", `${this.#active.size} images are being published already; try again later`);
    }
    const startMs = performance.now();
    const publishing = this.#publish(bytes, request);
    this.#active.add(publishing);
    try {
      const published = await publishing;
      this.#parts.onPublished((performance.now() - startMs) / 1_000);
      return published;
    } catch (error) {
      throw diskProblem(error);
    } finally {
      this.#active.delete(publishing);
    }
  }

  /**
   * Makes the torrent of an image that has none, and seeds it. Answers once that is done.
   *
   * @throws Problem "not-found", or "data-loss" if the image's bytes are not there.
   */
  async createTorrent(ref: string): Promise<Image> {
    const image = await this.get(ref);
    if (this.#parts.shelf.isSeeded(image)) return image;
    const path = this.dataPath(image);
    const known = this.#torrentsMaking.get(image.digest);
    if (known) return known;
    const making = this.#makeTorrent(image, path).finally(() => this.#torrentsMaking.delete(image.digest));
    this.#torrentsMaking.set(image.digest, making);
    return making;
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
      const image = await this.#find(wanted);
      const names = "digest" in wanted ? [] : image.names.filter((name) => name !== wanted.name);
      const left: Image = { ...image, names };
      if ("name" in wanted && names.length > 0) {
        // As with the whole image: a full disk may keep what is left of it from being written down.
        await this.#parts.shelf.unnote(image);
        await this.#parts.store.removeName(wanted.name);
        await this.#parts.shelf.note(left);
        this.#tell({ kind: "changed", image: left });
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
    this.#tell({ kind: "retired", image: { ...image, names: [] } });
    await this.#parts.others?.endCopy(image.digest);
    await this.#parts.shelf.remove(image);
  }

  async #find(ref: ImageRef): Promise<Image> {
    const image =
      "digest" in ref
        ? await this.#parts.store.imageByDigest(ref.digest)
        : await this.#parts.store.imageByName(ref.name);
    if (!image) throw new Problem("not-found", `there is no image ${textOf(ref)} in the catalog`);
    return image;
  }

  async #publish(bytes: AsyncIterable<Uint8Array>, request: PublishRequest): Promise<Published> {
    await this.admit(request);
    const signal = request.signal ? AbortSignal.any([request.signal, this.#closing.signal]) : this.#closing.signal;
    const received = await receive(this.#parts, bytes, request, signal);
    try {
      const image = await this.boot.checked(received);
      return await this.#commits.run(() => this.#commit({ ...received, image }, signal));
    } finally {
      await received.incoming.discard();
    }
  }

  async #commit({ incoming, image, info }: Received, signal: AbortSignal): Promise<Published> {
    signal.throwIfAborted();
    const { store, shelf, log } = this.#parts;
    const name = image.names[0] as string;
    await this.#checkNameFree(name, image.digest);
    await this.boot.checkLinks(image);
    const existing = await store.imageByDigest(image.digest);
    if (existing) return this.#commitAgain({ incoming, image: existing, info }, name);
    const added: Image = { ...image, torrent: info && torrentFactsOf(info) };
    await shelf.put(incoming, image, info);
    try {
      await store.addImage(added);
    } catch (error) {
      // Another seeder may have been first, with the image or with the name.
      const first = this.#parts.others && (await store.imageByDigest(image.digest));
      if (first) {
        await shelf.confirm(first);
        return this.#commitAgain({ incoming, image: first, info }, name);
      }
      await shelf.remove(image);
      await this.#checkNameFree(name, image.digest);
      throw error;
    }
    await shelf.confirm(image);
    await shelf.note(added);
    if (info) shelf.seed(image.digest, info);
    await this.#parts.others?.hold(image.digest);
    this.#tell({ kind: "published", image: added });
    log.info({ digest: added.digest, name, sizeBytes: added.sizeBytes, infohash: info?.infohash }, "published");
    return { image: added, changed: true };
  }

  /** The bytes are in the catalog already: they may gain a name, a torrent, or their lost files. */
  async #commitAgain({ incoming, image: existing, info: made }: Received, name: string): Promise<Published> {
    const { shelf, others, log } = this.#parts;
    const { digest } = existing;
    let image = existing;
    // Others serve the torrent that there is; an upload of unknown length makes another.
    const info = others && existing.torrent && existing.torrent.infohash !== made?.infohash ? undefined : made;
    if (!shelf.holds(existing)) {
      await others?.endCopy(digest);
      await shelf.put(incoming, existing, info);
      await shelf.confirm(existing);
      if (info || !others) image = await this.#withTorrent(image, info);
      log.info({ digest, name }, "an image's lost data is here again");
    } else if (info && !shelf.isSeeded(existing)) {
      await shelf.putTorrent(digest, info);
      image = await this.#withTorrent(image, info);
    }
    if (!image.names.includes(name)) {
      if (image.names.length >= namesPerImageMax) {
        throw new Problem("exhausted", `${digest} has ${namesPerImageMax} names already; retire some`);
      }
      await this.#addName(digest, name);
      image = { ...image, names: [...image.names, name] };
    }
    await shelf.note(image);
    await others?.hold(digest);
    if (image === existing) return { image, changed: false };
    this.#tell({ kind: "changed", image });
    log.info({ digest, names: image.names, infohash: image.torrent?.infohash }, "changed");
    return { image, changed: true };
  }

  async #addName(digest: string, name: string): Promise<void> {
    const { store, others } = this.#parts;
    try {
      await store.addName(digest, name);
    } catch (error) {
      await this.#checkNameFree(name, digest);
      if (!others || (await store.imageByDigest(digest))) throw error;
      throw new Problem("conflict", "the image was retired at another seeder just now; publish it again", {
        cause: error,
      });
    }
  }

  #tell(change: ImageChange): void {
    const { kind, image } = change;
    if (kind === "retired") this.#told.delete(image.digest);
    else this.#told.set(image);
    this.#changes.publish(change);
  }

  async #withTorrent(image: Image, info: TorrentInfo | undefined): Promise<Image> {
    const torrent = info && torrentFactsOf(info);
    await this.#parts.store.setTorrent(image.digest, torrent);
    if (info) this.#parts.shelf.seed(image.digest, info);
    return { ...image, torrent };
  }

  async #makeTorrent(image: Image, path: string): Promise<Image> {
    const info = await torrentFromFile(image.digest, path, image.sizeBytes);
    return this.#commits.run(async () => {
      const current = await this.#find({ digest: image.digest });
      if (this.#parts.shelf.isSeeded(current)) return current;
      await this.#parts.shelf.putTorrent(image.digest, info);
      const changed = await this.#withTorrent(current, info);
      await this.#parts.shelf.note(changed);
      this.#tell({ kind: "changed", image: changed });
      this.#parts.log.info({ digest: image.digest, infohash: info.infohash }, "made the torrent");
      return changed;
    });
  }

  async #checkNameFree(name: string, digest: string): Promise<void> {
    const owner = await this.#parts.store.imageByName(name);
    if (owner && owner.digest !== digest) {
      throw new Problem(
        "already-exists",
        `"${name}" is the name of another image, ${owner.digest}; retire it first, or publish under another name`,
      );
    }
  }
}

function torrentFactsOf(info: TorrentInfo): ImageTorrent {
  return { infohash: info.infohash, pieceLengthBytes: info.pieceLengthBytes };
}
