import { randomBytes } from "node:crypto";
import { join } from "node:path";
import type { Log } from "../../daemon/log.ts";
import { messageOf, Problem, systemCodeOf } from "../../daemon/problem.ts";
import { Serial } from "../../daemon/serial.ts";
import { type Disk, flushPath } from "../../swarm/disk.ts";
import type { TorrentInfo } from "../../swarm/types.ts";
import { ChangeSignal } from "../change-signal.ts";
import { allocatedBytesOf, diskProblem } from "./disk-space.ts";
import { writeDurably } from "./durable-file.ts";
import { readMetainfo, recordPieces, removeBytes } from "./image-files.ts";
import { type ImagePaths, imagePaths, type StateLayout } from "./layout.ts";
import { type LoadedImage, loadImages } from "./load.ts";
import {
  damageCharactersMax,
  type ImageFacts,
  type ImageRecord,
  type LeaseRecord,
  type UsedRecord,
  unusedRecord,
} from "./records.ts";

/** An image in the cache, complete or partial. A snapshot: the cache replaces it when something changes. */
export interface CacheEntry {
  readonly record: Readonly<ImageRecord>;
  readonly used: Readonly<UsedRecord>;
  readonly leases: readonly LeaseRecord[];
  readonly paths: ImagePaths;
  /** Bytes on disk, as of when the image was last looked at: exact once complete. */
  readonly allocatedBytes: number;
  readonly complete: boolean;
}

/** The agent writes an image's file, everybody may read it, as far as the state directory lets them in. */
const dataMode = 0o644;
/** While others have a link to the file, who writes to theirs would write to the cache. */
const linkedMode = 0o444;

/**
 * The images on this node. The state directory is the truth; this is its index in memory and the only writer of it, but
 * for `data` and `have`, which belong to the fetch that fills them.
 */
export class ImageCache {
  readonly layout: StateLayout;
  /** Notified when an image comes, changes or goes. */
  readonly changes = new ChangeSignal();
  /** Told before what is here of an image is doubted, or goes. */
  onDoubt: (digest: string) => void = () => {};
  readonly #entries = new Map<string, CacheEntry>();
  /** Orders writes to each image's files. */
  readonly #writers = new Map<string, Serial>();
  readonly #now: () => Date;
  readonly #log: Log;

  private constructor(layout: StateLayout, now: () => Date, log: Log, loaded: readonly LoadedImage[]) {
    this.layout = layout;
    this.#now = now;
    this.#log = log;
    for (const { record, used, allocatedBytes, leases } of loaded) this.#put(record, used, allocatedBytes, leases);
  }

  /** Reads the directory, which the caller has locked. Damage is mended or taken away, with a log line. */
  static async open(layout: StateLayout, now: () => Date, log: Log): Promise<ImageCache> {
    const loaded = await loadImages(layout, now, log);
    const cache = new ImageCache(layout, now, log, loaded);
    for (const { record } of loaded.filter(({ mended }) => mended)) {
      await cache.#writeRecord(record).catch((error: unknown) => {
        // On a full disk too the agent starts; the next start mends it again.
        log.warn({ digest: record.digest, error: messageOf(error) }, "cannot write down an image's mended record");
      });
    }
    return cache;
  }

  get #disk(): Disk {
    return this.layout.disk;
  }

  get(digest: string): CacheEntry | undefined {
    return this.#entries.get(digest);
  }

  /** All images, complete and partial, in order of first name. */
  list(): CacheEntry[] {
    const name = (entry: CacheEntry) => entry.record.names[0] ?? entry.record.digest;
    return [...this.#entries.values()].sort((a, b) => (name(a) < name(b) ? -1 : 1));
  }

  /** The image last known by this name; a complete one if there are several. */
  findByName(name: string): CacheEntry | undefined {
    const found = this.list().filter((entry) => entry.record.names.includes(name));
    return found.find((entry) => entry.complete) ?? found[0];
  }

  /** Bytes on disk of all complete images. */
  get completeBytes(): number {
    let bytes = 0;
    for (const entry of this.#entries.values()) if (entry.complete) bytes += entry.allocatedBytes;
    return bytes;
  }

  /**
   * Makes or renews the record of an image that is about to be fetched. What is on disk of it stays, unless it was filled
   * by pieces of a torrent that the catalog has since replaced: those cannot be matched to the new one's.
   */
  begin(facts: ImageFacts, wanted: NonNullable<ImageRecord["wanted"]>): Promise<void> {
    return this.#write(facts.digest, async () => {
      const entry = this.#entries.get(facts.digest);
      const paths = imagePaths(this.layout, facts.digest);
      await this.#disk.mkdir(paths.directory, { recursive: true });
      // Whoever made a hard link to it took its write bits off (`bootswarm fetch --to`).
      if (entry) await this.#disk.chmod?.(paths.data, dataMode).catch(() => {});
      if (entry && (entry.record.infohash !== facts.infohash || entry.record.sizeBytes !== facts.sizeBytes)) {
        if ((await this.#readMetainfo(entry)) !== undefined) {
          this.onDoubt(facts.digest);
          await removeBytes(this.#disk, paths);
        }
      }
      const damage = entry?.record.damage;
      const record: ImageRecord = { ...facts, version: 1, wanted, completedAt: null, ...(damage && { damage }) };
      await this.#writeRecord(record);
      // The directory itself may be new.
      await flushPath(this.#disk, this.layout.images);
      this.#put(record, entry?.used ?? unusedRecord(this.#now()), await allocatedBytesOf(this.#disk, paths.data));
    });
  }

  /** Notes how urgently a partial image is wanted; null: no longer. Looks anew at how much of it is on disk. */
  setWanted(digest: string, wanted: ImageRecord["wanted"]): Promise<void> {
    return this.#write(digest, async () => {
      const entry = this.#entries.get(digest);
      if (!entry) return;
      const record = { ...entry.record, wanted };
      await this.#writeRecord(record);
      this.#put(record, entry.used, await allocatedBytesOf(this.#disk, entry.paths.data));
    });
  }

  /**
   * Marks an image as ready, once its bytes are flushed. The caller has found its sha256 right.
   */
  complete(digest: string): Promise<void> {
    return this.#write(digest, async () => {
      const entry = this.#require(digest);
      await flushPath(this.#disk, entry.paths.data);
      await this.#protectLinks(entry.paths.data);
      const { damage: _mended, ...sound } = entry.record;
      const record: ImageRecord = { ...sound, wanted: null, completedAt: this.#now().toISOString() };
      await this.#writeRecord(record);
      this.#put(record, entry.used, await allocatedBytesOf(this.#disk, entry.paths.data));
    });
  }

  /**
   * Takes a complete image for partial, since some of it is wrong: it is to be fetched before it is ready again. Nothing
   * may be serving it.
   *
   * @param damage what is wrong, for people
   * @param badPieces those of its torrent, where that is known; without, all of it is looked at anew
   */
  damaged(digest: string, damage: string, badPieces: readonly number[]): Promise<void> {
    return this.#write(digest, async () => {
      const entry = this.#require(digest);
      if (!entry.complete) return;
      this.onDoubt(digest);
      const info = await this.#readMetainfo(entry);
      // The map first: an image that is partial without one would be taken to have come by HTTP, from its beginning.
      if (info) await recordPieces(this.#disk, entry.paths, info, badPieces);
      const requestedAt = this.#now().toISOString();
      const wanted = { name: entry.record.names[0] ?? "", priority: "ensure" as const, requestedAt };
      const account = damage.slice(0, damageCharactersMax);
      const record: ImageRecord = { ...entry.record, wanted, completedAt: null, damage: account };
      await this.#writeRecord(record);
      this.#put(record, entry.used, entry.allocatedBytes);
    });
  }

  /**
   * Takes in what the catalog says of an image that is here. A name moves: it is taken from whichever image had it.
   *
   * @returns whether it has, by this, come to a torrent or to another one than it had
   * @throws Problem if that cannot be written down
   */
  async learn(facts: ImageFacts): Promise<boolean> {
    for (const other of this.#entries.values()) {
      if (other.record.digest === facts.digest || !other.record.names.some((name) => facts.names.includes(name)))
        continue;
      await this.#update(other.record.digest, (record) => ({
        ...record,
        names: record.names.filter((name) => !facts.names.includes(name)),
      }));
    }
    const entry = this.#entries.get(facts.digest);
    if (!entry || entry.record.sizeBytes !== facts.sizeBytes) return false;
    const torrentChanged = facts.infohash !== "" && facts.infohash !== entry.record.infohash;
    // A partial image goes on with the torrent its pieces are of; the next fetch looks again.
    const keepTorrent = facts.infohash === "" || (torrentChanged && !entry.complete);
    await this.#update(facts.digest, (record) => {
      const { infohash, magnetUri } = keepTorrent ? record : facts;
      const { names, format, virtualSizeBytes, dataPath } = facts;
      return { ...record, names, format, virtualSizeBytes, dataPath, infohash, magnetUri };
    });
    if (torrentChanged && entry.complete) await this.#disk.rm(entry.paths.metainfo, { force: true });
    return torrentChanged && entry.complete;
  }

  /**
   * Notes that the image was asked for.
   *
   * @param use what that makes of its record
   */
  async touch(digest: string, use: (used: UsedRecord) => UsedRecord): Promise<void> {
    const before = this.#entries.get(digest);
    try {
      await this.#updateUsed(digest, use);
    } catch (error) {
      // Until the agent stops, it counts nevertheless.
      const entry = this.#entries.get(digest);
      if (entry && entry.used === before?.used) this.#put(entry.record, use(entry.used), entry.allocatedBytes);
      // A full disk must not keep anybody from using what is here.
      this.#log.warn({ digest, error: messageOf(error) }, "cannot write down that an image was used");
    }
  }

  /** Keeps an image from removal, or lets go of it. */
  setPinned(digest: string, pinned: boolean): Promise<void> {
    return this.#updateUsed(digest, (used) => ({ ...used, pinned }));
  }

  /**
   * Writes down an image's leases; nothing if it has gone meanwhile.
   *
   * @param current asked once earlier writes have ended
   */
  setLeases(digest: string, current: () => LeaseRecord[]): Promise<void> {
    return this.#write(digest, async () => {
      if (!this.#entries.has(digest)) return;
      const leases = current();
      const { leases: path } = imagePaths(this.layout, digest);
      await writeDurably(this.layout, path, `${JSON.stringify({ version: 1, leases }, null, 2)}\n`);
      const { record, used, allocatedBytes } = this.#require(digest);
      this.#put(record, used, allocatedBytes, leases);
    });
  }

  /** The torrent's info, if it is kept. For a complete image it was checked against the data. */
  async metainfo(digest: string): Promise<TorrentInfo | undefined> {
    const entry = this.#entries.get(digest);
    return entry && (await this.#readMetainfo(entry));
  }

  /** Keeps the torrent's info dictionary. */
  keepMetainfo(digest: string, info: TorrentInfo): Promise<void> {
    return this.#write(digest, () => writeDurably(this.layout, this.#require(digest).paths.metainfo, info.infoBytes));
  }

  /**
   * Has what is here of a partial image looked at anew before it is built on: pieces are hashed one by one, what came by
   * HTTP cannot be told apart and goes. Nothing may be writing it.
   */
  doubt(digest: string): Promise<void> {
    return this.#write(digest, async () => {
      const { paths } = this.#require(digest);
      this.onDoubt(digest);
      const have = await this.#disk.open(paths.have, "r+").catch((error: unknown) => {
        if (systemCodeOf(error) === "ENOENT") return undefined;
        throw error;
      });
      if (!have) return removeBytes(this.#disk, paths);
      await have.truncate(0).finally(() => have.close());
    });
  }

  /** Forgets what has arrived of a partial image. Nothing may be writing it. */
  discardBytes(digest: string): Promise<void> {
    return this.#write(digest, () => {
      this.onDoubt(digest);
      return removeBytes(this.#disk, this.#require(digest).paths);
    });
  }

  /**
   * Removes an image: first out of images/ by one rename, then from disk. Nothing may be reading or writing it.
   *
   * @returns bytes given back
   */
  remove(digest: string): Promise<number> {
    return this.#write(digest, async () => {
      const { paths } = this.#require(digest);
      this.onDoubt(digest);
      const freedBytes = await allocatedBytesOf(this.#disk, paths.data);
      const aside = join(this.layout.tmp, `${digest}-${randomBytes(4).toString("hex")}`);
      await this.#disk.rename(paths.directory, aside);
      this.#entries.delete(digest);
      this.changes.notify();
      await flushPath(this.#disk, this.layout.images);
      await this.#disk.rm(aside, { recursive: true, force: true });
      return freedBytes;
    });
  }

  /** Takes the write bits off a file that was linked to elsewhere and has been repaired since; see `begin`. */
  async #protectLinks(path: string): Promise<void> {
    const links = (await this.#disk.stat(path).catch(() => undefined))?.nlink ?? 1;
    if (links > 1) await this.#disk.chmod?.(path, linkedMode).catch(() => {});
  }

  #put(
    record: ImageRecord,
    used: UsedRecord,
    allocatedBytes: number,
    leases: readonly LeaseRecord[] = this.#entries.get(record.digest)?.leases ?? [],
  ): void {
    const paths = imagePaths(this.layout, record.digest);
    const complete = record.completedAt !== null;
    this.#entries.set(record.digest, { record, used, leases, paths, allocatedBytes, complete });
    this.changes.notify();
  }

  #require(digest: string): CacheEntry {
    const entry = this.#entries.get(digest);
    if (!entry) throw new Problem("not-found", `the image ${digest} is not in this node's cache`);
    return entry;
  }

  async #readMetainfo({ record, paths }: CacheEntry): Promise<TorrentInfo | undefined> {
    try {
      const info = await readMetainfo(this.#disk, paths);
      return info?.infohash === record.infohash ? info : undefined;
    } catch (error) {
      // The swarm can tell it again.
      this.#log.warn({ path: paths.metainfo, error: messageOf(error) }, "cannot read this; doing without");
      return undefined;
    }
  }

  #writeRecord(record: ImageRecord): Promise<void> {
    const { record: path } = imagePaths(this.layout, record.digest);
    return writeDurably(this.layout, path, `${JSON.stringify(record, null, 2)}\n`);
  }

  /** Writes the record if `change` made it another; nothing if the image has gone meanwhile. */
  #update(digest: string, change: (record: ImageRecord) => ImageRecord): Promise<void> {
    return this.#write(digest, async () => {
      const entry = this.#entries.get(digest);
      if (!entry) return;
      const record = change(entry.record);
      if (JSON.stringify(record) === JSON.stringify(entry.record)) return;
      await this.#writeRecord(record);
      this.#put(record, entry.used, entry.allocatedBytes);
    });
  }

  #updateUsed(digest: string, change: (used: UsedRecord) => UsedRecord): Promise<void> {
    return this.#write(digest, async () => {
      const entry = this.#require(digest);
      const used = change(entry.used);
      await writeDurably(this.layout, entry.paths.used, `${JSON.stringify(used, null, 2)}\n`);
      this.#put(entry.record, used, entry.allocatedBytes);
    });
  }

  async #write<T>(digest: string, work: () => Promise<T>): Promise<T> {
    const writer = this.#writers.get(digest) ?? new Serial();
    this.#writers.set(digest, writer);
    try {
      return await writer.run(work);
    } catch (error) {
      throw diskProblem(error, `image ${digest}`, this.layout.directory);
    } finally {
      if (writer.idle) this.#writers.delete(digest);
    }
  }
}
