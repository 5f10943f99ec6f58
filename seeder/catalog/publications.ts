import type { Log } from "../../daemon/log.ts";
import { Problem } from "../../daemon/problem.ts";
import type { CatalogStore } from "../store/store.ts";
import type { BootImages } from "./boot-images.ts";
import type { Commits } from "./commits.ts";
import type { Image } from "./image.ts";
import { diskProblem } from "./image-files.ts";
import { type ImageTorrents, torrentFactsOf } from "./image-torrents.ts";
import { checkedDigest, checkedName, namesPerImageMax } from "./names.ts";
import type { Others } from "./others.ts";
import type { Published, Publisher, PublishRequest } from "./publish.ts";
import { type Received, type ReceiveParts, receive } from "./receive.ts";

export interface PublicationsParts extends ReceiveParts {
  store: CatalogStore;
  log: Log;
  /** The other seeders of this catalog; absent for one with a store of its own. */
  others?: Others | undefined;
  /** Publications under way at once. */
  publishesActiveMax: number;
  /** Told how long a publication took that succeeded. */
  onPublished: (seconds: number) => void;
}

/** Takes images into the catalog: their bytes side by side, the changes that come of them one at a time. */
export class Publications implements Publisher {
  readonly #parts: PublicationsParts;
  readonly #boot: BootImages;
  readonly #torrents: ImageTorrents;
  readonly #commits: Commits;
  readonly #closing = new AbortController();
  readonly #active = new Set<Promise<unknown>>();

  constructor(parts: PublicationsParts, boot: BootImages, torrents: ImageTorrents, commits: Commits) {
    this.#parts = parts;
    this.#boot = boot;
    this.#torrents = torrents;
    this.#commits = commits;
  }

  /** Ends publications that are under way, and leaves nothing of them. */
  async close(): Promise<void> {
    this.#closing.abort(new Problem("unavailable", "the seeder is stopping; try again later"));
    await Promise.allSettled(this.#active);
  }

  async admit(request: PublishRequest): Promise<void> {
    const name = checkedName(request.name);
    const digest = request.sha256 === undefined ? undefined : checkedDigest(request.sha256);
    await this.#boot.admit(name, request.sizeBytes);
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

  async #publish(bytes: AsyncIterable<Uint8Array>, request: PublishRequest): Promise<Published> {
    await this.admit(request);
    const signal = request.signal ? AbortSignal.any([request.signal, this.#closing.signal]) : this.#closing.signal;
    const received = await receive(this.#parts, bytes, request, signal);
    try {
      const image = await this.#boot.checked(received);
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
    await this.#boot.checkLinks(image);
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
    this.#commits.tell({ kind: "published", image: added });
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
      if (info || !others) image = await this.#torrents.give(image, info);
      log.info({ digest, name }, "an image's lost data is here again");
    } else if (info && !shelf.isSeeded(existing)) {
      await shelf.putTorrent(digest, info);
      image = await this.#torrents.give(image, info);
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
    this.#commits.tell({ kind: "changed", image });
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
