/**
 * The images that exist: published, named, given torrents, retired. Facts are in the store, bytes in the files, and an
 * image with a torrent is in the swarm; this class alone changes any of them, one change at a time.
 */
import type { Log } from "../../daemon/log.ts";
import { messageOf, Problem } from "../../daemon/problem.ts";
import { pieceLengthFor, torrentInfoFromInfoBytes } from "../../swarm/metainfo.ts";
import type { TorrentInfo } from "../../swarm/types.ts";
import type { CatalogStore } from "../store/store.ts";
import { ChangeFeed, type ImageChange } from "./changes.ts";
import type { Hasher } from "./hasher.ts";
import type { Image, ImageTorrent } from "./image.ts";
import { diskProblem, type ImageFiles, type IncomingImage } from "./image-files.ts";
import { imageFormatOf } from "./image-format.ts";
import { type Intake, takeIn } from "./intake.ts";
import { checkedDigest, checkedName, type ImageRef, imageRefFrom, textOf } from "./names.ts";
import type { Published, Publisher, PublishRequest } from "./publish.ts";
import { qcow2HeaderFrom } from "./qcow2.ts";
import type { Seeding } from "./seeding.ts";
import { Serial } from "./serial.ts";
import { torrentFromFile, torrentFromHashes } from "./torrent.ts";

/** Names of one image: each is in every answer that speaks of it. */
const namesPerImageMax = 1_000;

export interface CatalogParts {
  store: CatalogStore;
  files: ImageFiles;
  hasher: Hasher;
  seeding: Seeding;
  log: Log;
  /** Milliseconds since 1970. */
  nowMs: () => number;
  /** Publications under way at once. */
  publishesActiveMax: number;
  /** Told how long a publication took that succeeded. */
  onPublished: (seconds: number) => void;
}

export class Catalog implements Publisher {
  readonly #parts: CatalogParts;
  readonly #changes = new ChangeFeed();
  readonly #commits = new Serial();
  readonly #closing = new AbortController();
  readonly #active = new Set<Promise<unknown>>();
  readonly #torrentsMaking = new Map<string, Promise<Image>>();
  /** Digests whose bytes are missing or of the wrong size; they are not served until published again. */
  readonly #damaged = new Set<string>();

  constructor(parts: CatalogParts) {
    this.#parts = parts;
  }

  /**
   * Compares files with facts after a start, cleans up what a crash has left, and seeds every image that has a torrent.
   */
  async start(): Promise<void> {
    const images = await this.#parts.store.listImages();
    const digests = new Set(images.map(({ digest }) => digest));
    for (const entry of await this.#parts.files.entries()) {
      if (digests.has(entry)) continue;
      this.#parts.log.warn({ entry }, "removing files of an image that was never or is no longer published");
      await this.#parts.files.remove(entry);
    }
    for (const image of images) await this.#open(image);
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
   * Where an image's bytes are.
   *
   * @throws Problem "data-loss" if they are not there.
   */
  dataPath(image: Image): string {
    if (this.#damaged.has(image.digest)) throw damagedProblem(image);
    return this.#parts.files.dataPath(image.digest);
  }

  /**
   * An image's torrent.
   *
   * @throws Problem "not-found" if it has none, "data-loss" if it should have one and does not.
   */
  async torrentOf(image: Image): Promise<TorrentInfo> {
    if (!image.torrent) throw new Problem("not-found", `${image.names[0]} has no torrent; make it with CreateTorrent`);
    const info = await this.#storedInfo(image);
    if (!info) throw new Problem("data-loss", `the torrent of ${image.names[0]} is lost; make it with CreateTorrent`);
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
    if (digest !== undefined) await this.#checkNameFree(name, digest);
    if (request.sizeBytes === 0) throw new Problem("invalid", "the image is empty; send its bytes as the body");
    const freeBytes = await this.#parts.files.freeBytes();
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
    if (image.torrent && this.#parts.seeding.has(image.torrent.infohash)) return image;
    const path = this.dataPath(image);
    const known = this.#torrentsMaking.get(image.digest);
    if (known) return known;
    const making = this.#makeTorrent(image, path).finally(() => this.#torrentsMaking.delete(image.digest));
    this.#torrentsMaking.set(image.digest, making);
    return making;
  }

  /**
   * Takes a name out of the catalog, or all names if a digest is given. The image goes with its last name.
   *
   * @throws Problem "not-found".
   */
  retire(ref: string): Promise<Image> {
    const wanted = imageRefFrom(ref);
    return this.#commits.run(async () => {
      const image = await this.#find(wanted);
      const names = "digest" in wanted ? [] : image.names.filter((name) => name !== wanted.name);
      const left: Image = { ...image, names };
      if ("name" in wanted && names.length > 0) {
        await this.#parts.store.removeName(wanted.name);
        this.#changes.publish({ kind: "changed", image: left });
      } else {
        // Facts go first: files without facts are cleaned up at the next start, facts without files would be damage.
        await this.#parts.store.removeImage(image.digest);
        this.#changes.publish({ kind: "retired", image: left });
        if (image.torrent) await this.#parts.seeding.stop(image.torrent.infohash);
        await this.#parts.files.remove(image.digest);
        this.#damaged.delete(image.digest);
      }
      this.#parts.log.info({ digest: image.digest, retired: textOf(wanted), namesLeft: names }, "retired");
      return left;
    });
  }

  async #find(ref: ImageRef): Promise<Image> {
    const image =
      "digest" in ref
        ? await this.#parts.store.imageByDigest(ref.digest)
        : await this.#parts.store.imageByName(ref.name);
    if (!image) throw new Problem("not-found", `there is no image ${textOf(ref)} in the catalog`);
    return image;
  }

  async #open(image: Image): Promise<void> {
    const { log, files, seeding } = this.#parts;
    const sizeBytes = await files.dataSizeBytes(image.digest);
    const fields = { digest: image.digest, names: image.names, sizeBytes: image.sizeBytes };
    if (sizeBytes !== image.sizeBytes) {
      this.#damaged.add(image.digest);
      log.error(
        { ...fields, foundBytes: sizeBytes ?? 0, path: files.dataPath(image.digest) },
        "an image's data is missing or cut and it is not served; publish it again",
      );
      return;
    }
    if (!image.torrent) return;
    const info = await this.#storedInfo(image);
    if (info) seeding.start(image.digest, info, files.dataPath(image.digest));
    else
      log.error(fields, "an image's torrent is lost and it is served by HTTP only; make it again with CreateTorrent");
  }

  async #storedInfo(image: Image): Promise<TorrentInfo | undefined> {
    const infoBytes = await this.#parts.files.infoBytes(image.digest);
    if (!infoBytes) return undefined;
    try {
      const info = torrentInfoFromInfoBytes(infoBytes);
      return info.infohash === image.torrent?.infohash && info.lengthBytes === image.sizeBytes ? info : undefined;
    } catch (error) {
      this.#parts.log.warn({ digest: image.digest, error: messageOf(error) }, "the stored torrent cannot be read");
      return undefined;
    }
  }

  async #publish(bytes: AsyncIterable<Uint8Array>, request: PublishRequest): Promise<Published> {
    await this.admit(request);
    const pieceLengthBytes = request.torrent ? pieceLengthFor(request.sizeBytes) : 0;
    const signal = request.signal ? AbortSignal.any([request.signal, this.#closing.signal]) : this.#closing.signal;
    const incoming = await this.#parts.files.begin();
    const hashing = this.#parts.hasher.start(pieceLengthBytes);
    try {
      const intake = await takeIn(bytes, incoming.file, hashing, {
        sizeBytes: request.sizeBytes,
        checkHead: qcow2HeaderFrom,
        signal,
      });
      const image = checkedImage(intake, request, this.#parts.nowMs());
      const { sizeBytes, digest } = image;
      const { pieceHashes } = intake.hashes;
      const info = request.torrent
        ? torrentFromHashes({ digest, sizeBytes, pieceLengthBytes, pieceHashes })
        : undefined;
      // Most of the time a sync takes should pass here, not where other changes wait for it.
      await incoming.file.datasync();
      return await this.#commits.run(() => this.#commit(incoming, image, info, signal));
    } finally {
      hashing.abandon();
      await incoming.discard();
    }
  }

  async #commit(
    incoming: IncomingImage,
    image: Image,
    info: TorrentInfo | undefined,
    signal: AbortSignal,
  ): Promise<Published> {
    signal.throwIfAborted();
    const { store, files, log } = this.#parts;
    const name = image.names[0] as string;
    await this.#checkNameFree(name, image.digest);
    const existing = await store.imageByDigest(image.digest);
    if (existing) return this.#commitAgain(incoming, existing, name, info);
    const added: Image = { ...image, torrent: info && torrentFactsOf(info) };
    await files.place(incoming, image.digest, info?.infoBytes);
    try {
      await store.addImage(added);
    } catch (error) {
      await files.remove(image.digest);
      throw error;
    }
    if (info) this.#parts.seeding.start(image.digest, info, files.dataPath(image.digest));
    this.#changes.publish({ kind: "published", image: added });
    log.info({ digest: added.digest, name, sizeBytes: added.sizeBytes, infohash: info?.infohash }, "published");
    return { image: added, changed: true };
  }

  /** The bytes are in the catalog already: they may gain a name, a torrent, or their lost files. */
  async #commitAgain(
    incoming: IncomingImage,
    existing: Image,
    name: string,
    info: TorrentInfo | undefined,
  ): Promise<Published> {
    const { digest } = existing;
    let image = existing;
    if (this.#damaged.has(digest)) {
      if (existing.torrent) await this.#parts.seeding.stop(existing.torrent.infohash);
      await this.#parts.files.place(incoming, digest, info?.infoBytes);
      this.#damaged.delete(digest);
      image = await this.#withTorrent(image, info);
      this.#parts.log.info({ digest, name }, "an image's lost data is here again");
    } else if (info && !(existing.torrent && this.#parts.seeding.has(existing.torrent.infohash))) {
      await this.#parts.files.placeInfoBytes(digest, info.infoBytes);
      image = await this.#withTorrent(image, info);
    }
    if (!image.names.includes(name)) {
      if (image.names.length >= namesPerImageMax) {
        throw new Problem("exhausted", `${digest} has ${namesPerImageMax} names already; retire some`);
      }
      await this.#parts.store.addName(digest, name);
      image = { ...image, names: [...image.names, name] };
    }
    if (image === existing) return { image, changed: false };
    this.#changes.publish({ kind: "changed", image });
    this.#parts.log.info({ digest, names: image.names, infohash: image.torrent?.infohash }, "changed");
    return { image, changed: true };
  }

  async #withTorrent(image: Image, info: TorrentInfo | undefined): Promise<Image> {
    const torrent = info && torrentFactsOf(info);
    await this.#parts.store.setTorrent(image.digest, torrent);
    if (info) this.#parts.seeding.start(image.digest, info, this.#parts.files.dataPath(image.digest));
    return { ...image, torrent };
  }

  async #makeTorrent(image: Image, path: string): Promise<Image> {
    const info = await torrentFromFile(image.digest, path, image.sizeBytes);
    return this.#commits.run(async () => {
      const current = await this.#find({ digest: image.digest });
      if (current.torrent && this.#parts.seeding.has(current.torrent.infohash)) return current;
      await this.#parts.files.placeInfoBytes(image.digest, info.infoBytes);
      const changed = await this.#withTorrent(current, info);
      this.#changes.publish({ kind: "changed", image: changed });
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

/** What came in as an image, if it is what was asked for. */
function checkedImage(intake: Intake, request: PublishRequest, nowMs: number): Image {
  const { sha256: digest } = intake.hashes;
  if (intake.sizeBytes === 0) throw new Problem("invalid", "the image is empty; send its bytes as the body");
  const wanted = request.sha256?.toLowerCase();
  if (wanted !== undefined && wanted !== digest) {
    throw new Problem("data-loss", `the bytes that came have sha256 ${digest}, not ${wanted}; nothing was published`);
  }
  return {
    digest,
    names: [request.name],
    sizeBytes: intake.sizeBytes,
    ...imageFormatOf(intake.head, intake.sizeBytes),
    torrent: undefined,
    createdAtMs: nowMs,
  };
}

function torrentFactsOf(info: TorrentInfo): ImageTorrent {
  return { infohash: info.infohash, pieceLengthBytes: info.pieceLengthBytes };
}

function damagedProblem(image: Image): Problem {
  return new Problem(
    "data-loss",
    `the data of ${image.names[0]} (${image.digest}) is lost on the seeder; publish it again`,
  );
}
