/** Images as bytes: their files, and their places in the swarm. The catalog says what belongs here. */
import type { Log } from "../../daemon/log.ts";
import { messageOf, Problem } from "../../daemon/problem.ts";
import { torrentInfoFromInfoBytes } from "../../swarm/metainfo.ts";
import type { TorrentInfo } from "../../swarm/types.ts";
import type { Image } from "./image.ts";
import { cardTextOf, imageFromCard } from "./image-card.ts";
import type { ImageFiles, IncomingImage } from "./image-files.ts";
import type { Seeding } from "./seeding.ts";

/** Digests that are told in one line of the log. */
const digestsToldMax = 10;

/** Which of some digests were retired. */
export type RemovedAmong = (digests: Iterable<string>) => Promise<ReadonlySet<string>>;

export class ImageShelf {
  readonly #files: ImageFiles;
  readonly #seeding: Seeding;
  readonly #log: Log;
  /** Digests whose bytes are here, whole. */
  readonly #here = new Set<string>();

  constructor(files: ImageFiles, seeding: Seeding, log: Log) {
    this.#files = files;
    this.#seeding = seeding;
    this.#log = log;
  }

  /**
   * After a start: cleans up what a crash has left, and seeds every image that has its data and a torrent. Images that the
   * catalog does not know, though nobody has retired them, stay as they are.
   *
   * @param removedAmong which of some digests were retired
   * @param isShared other seeders may have the bytes of images that have none here
   */
  async start(images: readonly Image[], removedAmong: RemovedAmong, isShared = false): Promise<void> {
    const digests = new Set(images.map(({ digest }) => digest));
    const unknown = (await this.#files.entries()).filter((entry) => !digests.has(entry));
    const retired = await removedAmong(unknown);
    const kept: string[] = [];
    for (const entry of unknown) {
      if (!retired.has(entry) && (await this.#files.isConfirmed(entry))) {
        kept.push(entry);
        continue;
      }
      this.#log.warn({ entry }, "removing files of an image that was never or is no longer published");
      await this.#files.remove(entry);
    }
    if (kept.length > 0) this.#tellKept(kept);
    for (const image of images) {
      await this.open(image, isShared);
      if (!this.#here.has(image.digest)) continue;
      await this.#files.confirm(image.digest);
      await this.note(image);
    }
  }

  /**
   * Images whose bytes and description are here, which the catalog does not know, though nobody has retired them.
   *
   * @param removedAmong which of some digests were retired
   */
  async lost(images: readonly Image[], removedAmong: RemovedAmong): Promise<Image[]> {
    const known = new Set(images.map(({ digest }) => digest));
    const unknown = (await this.#files.entries()).filter((entry) => !known.has(entry));
    const retired = await removedAmong(unknown);
    const lost: Image[] = [];
    for (const entry of unknown) {
      if (retired.has(entry) || !(await this.#files.isConfirmed(entry))) continue;
      const card = await this.#files.card(entry).catch((error: unknown) => {
        this.#log.warn({ digest: entry, error: messageOf(error) }, "cannot read what is written down beside an image");
        return undefined;
      });
      const image = card === undefined ? undefined : imageFromCard(card, entry);
      if (image && (await this.#files.dataSizeBytes(entry)) === image.sizeBytes) lost.push(image);
    }
    return lost;
  }

  /** Has the directory of an image that is here say what the catalog knows of it. Never rejects: it is for a catalog that is lost. */
  async note(image: Image): Promise<void> {
    if (!this.holds(image)) return;
    const { digest } = image;
    try {
      const text = cardTextOf(image);
      if ((await this.#files.card(digest)) !== text) await this.#files.placeCard(digest, text);
    } catch (error) {
      this.#log.warn({ digest, error: messageOf(error) }, "cannot write down beside an image what the catalog knows");
    }
  }

  /** Has an image's directory say nothing of it: it is about to be retired. */
  unnote({ digest }: Image): Promise<void> {
    return this.#files.removeCard(digest);
  }

  /** Takes an image out of the swarm that the catalog has lost; its files stay. */
  async withdraw(image: Image): Promise<void> {
    await this.unseed(image);
    if (this.#here.delete(image.digest)) this.#tellKept([image.digest]);
  }

  begin(): Promise<IncomingImage> {
    return this.#files.begin();
  }

  freeBytes(): Promise<number> {
    return this.#files.freeBytes();
  }

  /** Digests of all images whose bytes are here. */
  get digests(): ReadonlySet<string> {
    return this.#here;
  }

  /**
   * Where an image's bytes are.
   *
   * @throws Problem "data-loss" if they are not there.
   */
  dataPath(image: Image): string {
    if (this.holds(image)) return this.#files.dataPath(image.digest);
    const { names, digest } = image;
    throw new Problem("data-loss", `the data of ${names[0]} (${digest}) is lost on the seeder; publish it again`);
  }

  /** Whether an image's bytes are here. Those that are missing or of the wrong size are not. */
  holds({ digest }: Pick<Image, "digest">): boolean {
    return this.#here.has(digest);
  }

  isSeeded(image: Image): boolean {
    return image.torrent !== undefined && this.#seeding.has(image.torrent.infohash);
  }

  /** An image's torrent as stored; undefined if it has none or it cannot be read. */
  async torrentOf(image: Image): Promise<TorrentInfo | undefined> {
    const infoBytes = image.torrent && (await this.#files.infoBytes(image.digest));
    if (!infoBytes) return undefined;
    try {
      const info = torrentInfoFromInfoBytes(infoBytes);
      return info.infohash === image.torrent?.infohash && info.lengthBytes === image.sizeBytes ? info : undefined;
    } catch (error) {
      this.#log.warn({ digest: image.digest, error: messageOf(error) }, "the stored torrent cannot be read");
      return undefined;
    }
  }

  /** Puts an image here, in the place of what was there of it. */
  async put(incoming: IncomingImage, image: Image, info: TorrentInfo | undefined): Promise<void> {
    if (image.torrent) await this.#seeding.stop(image.torrent.infohash);
    await this.#files.place(incoming, image.digest, info?.infoBytes);
    this.#here.add(image.digest);
  }

  /** An image that was put here is in the catalog. */
  confirm({ digest }: Image): Promise<void> {
    return this.#files.confirm(digest);
  }

  /** Puts an image here that has come whole from another seeder, and serves it to peers. */
  async putCopy({ digest }: Image, info: TorrentInfo | undefined): Promise<void> {
    await this.#files.placeCopy(digest, info?.infoBytes);
    this.#here.add(digest);
    if (info) this.seed(digest, info);
  }

  /** Puts the torrent of an image here whose data is here. */
  putTorrent(digest: string, info: TorrentInfo): Promise<void> {
    return this.#files.placeInfoBytes(digest, info.infoBytes);
  }

  /** Serves an image that is here to peers. */
  seed(digest: string, info: TorrentInfo): void {
    this.#seeding.start(digest, info, this.#files.dataPath(digest));
  }

  /** Takes an image's torrent out of the swarm. */
  async unseed(image: Image): Promise<void> {
    if (image.torrent) await this.#seeding.stop(image.torrent.infohash);
  }

  /** Takes an image out of the swarm and away from here. */
  async remove(image: Image): Promise<void> {
    if (image.torrent) await this.#seeding.stop(image.torrent.infohash);
    this.#here.delete(image.digest);
    await this.#files.remove(image.digest);
  }

  /** Serves an image whose data is here, without its being known yet. */
  async open(image: Image, isShared: boolean): Promise<void> {
    const foundBytes = await this.#files.dataSizeBytes(image.digest);
    const fields = { digest: image.digest, names: image.names, sizeBytes: image.sizeBytes };
    if (foundBytes !== image.sizeBytes) {
      if (isShared && foundBytes === undefined) return;
      this.#log.error(
        { ...fields, foundBytes: foundBytes ?? 0, path: this.#files.dataPath(image.digest) },
        isShared
          ? "an image's data is cut; it comes anew from another seeder"
          : "an image's data is missing or cut and it is not served; publish it again",
      );
      return;
    }
    this.#here.add(image.digest);
    if (!image.torrent) return;
    const info = await this.torrentOf(image);
    if (info) this.seed(image.digest, info);
    else this.#log.error(fields, "an image's torrent is lost, so it is served by HTTP only; use CreateTorrent on it");
  }
  #tellKept(digests: readonly string[]): void {
    this.#log.error(
      { images: digests.length, digests: digests.slice(0, digestsToldMax), path: this.#files.imagesPath },
      "the database does not know images that are here, and nobody retired them; their files are kept, and not served: restore the database, publish them again, or remove them",
    );
  }
}
