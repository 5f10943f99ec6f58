import type { Log } from "../daemon/log.ts";
import { messageOf, Problem, systemCodeOf } from "../daemon/problem.ts";
import type { Serial } from "../daemon/serial.ts";
import type { CacheEntry, ImageCache } from "./cache/image-cache.ts";
import type { InUse } from "./cache/in-use.ts";
import { type AheadTerms, type FetchPriority, factsOf, type ImageFacts } from "./cache/records.ts";
import type { Catalog } from "./catalog/catalog.ts";
import type { FetchView } from "./fetch/fetch-view.ts";
import type { Fetches } from "./fetch/fetches.ts";
import { type ImageRef, imageRefFrom } from "./image-ref.ts";
import type { Lease, Leases } from "./leases.ts";
import type { Repairs } from "./scrub/repairs.ts";
import type { Seeders } from "./seeders/seeders.ts";
import type { Seeding } from "./seeding/seeding.ts";
import type { Space } from "./space.ts";

/**
 * How long the catalog may take to answer: briefly where the cache can answer in its stead, else as long as a seeder may be
 * busy that many nodes turn to at once (one that is away is found out sooner).
 */
const askTimeoutMs = 30_000;
const askTimeoutWithCopyMs = 2_000;
/** Holders that an error names. */
const holdersNamedMax = 5;

export interface ImagesOptions {
  cache: ImageCache;
  fetches: Fetches;
  seeding: Seeding;
  space: Space;
  inUse: InUse;
  leases: Leases;
  repairs: Pick<Repairs, "begin">;
  /** Admits and removes one image at a time, so that neither sees the other half done. */
  changing: Serial;
  catalog: Catalog;
  seeders: Pick<Seeders, "reachable">;
  now: () => Date;
  log: Log;
}

/** An image asked for: here, or on its way. */
export interface EnsuredImage {
  digest: string;
  /** How far it is. */
  view: () => FetchView;
  /** Absolute path of the image's file. */
  path: string;
}

/** What goes with an image's being asked for. */
export interface EnsureOptions {
  /** Looks at what is known of the image before anything is done; throws to refuse it. */
  check?: (facts: ImageFacts) => void;
  /** Takes hold of the image, here or on its way, before another can have it evicted. */
  take?: (entry: CacheEntry) => Promise<void>;
  /** On what terms the seeder has it brought ahead of need. */
  ahead?: AheadTerms;
}

/** An image that a lease keeps. */
export interface LeasedImage {
  lease: Lease;
  entry: CacheEntry;
}

/** What can be done with the node's images. */
export class Images {
  readonly #options: ImagesOptions;

  constructor(options: ImagesOptions) {
    this.#options = options;
  }

  /**
   * Makes an image be here: returns at once with the image or the fetch that brings it.
   *
   * @param image name or digest
   * @throws Problem "not-found"; "unavailable" if only the seeder could say and it does not; "exhausted" if there is no
   * room on disk or in the queue.
   */
  async ensure(image: string, priority: FetchPriority, options: EnsureOptions = {}): Promise<EnsuredImage> {
    const { cache, fetches, space, changing, now } = this.#options;
    const ref = imageRefFrom(image);
    const facts = await this.#resolve(ref);
    options.check?.(facts);
    await this.#lookForFile(facts.digest);
    return changing.run(async () => {
      const { digest } = facts;
      if (cache.get(digest)?.complete) {
        await space.noteUse(digest, priority);
        await options.take?.(cache.get(digest) as CacheEntry);
        return this.#here(digest, ref.name ?? "");
      }
      const fetch = await fetches.ensure(facts, ref.name ?? "", priority, now(), { ahead: options.ahead });
      await options.take?.(cache.get(digest) as CacheEntry);
      return { digest, view: () => fetch.view(), path: (cache.get(digest) as CacheEntry).paths.data };
    });
  }

  /** Cancels a fetch. @throws Problem "not-found" if there is none. */
  async cancelFetch(image: string): Promise<FetchView> {
    const ref = imageRefFrom(image);
    const digest = ref.digest ?? this.#options.fetches.current().find((fetch) => isNamed(fetch, ref.name))?.digest;
    const fetch = digest === undefined ? undefined : this.#options.fetches.get(digest);
    if (!fetch) throw new Problem("not-found", `"${image}" is not being fetched`);
    await fetch.cancel();
    return fetch.view();
  }

  /** The complete image. @throws Problem "not-found". */
  get(image: string): CacheEntry {
    const entry = this.#find(image);
    if (entry?.complete) return entry;
    if (entry?.record.damage !== undefined) {
      throw new Problem(
        "conflict",
        `"${image}" is damaged (${entry.record.damage}) and is being repaired; see \`bootswarm fetches\``,
      );
    }
    const hint = entry ? "is not complete on this node" : "is not in this node's cache";
    throw new Problem("not-found", `"${image}" ${hint}; EnsureImage (bootswarm fetch) brings it`);
  }

  /** The image, complete or damaged. @throws Problem "not-found". */
  describe(image: string): CacheEntry {
    const entry = this.#find(image);
    return entry?.record.damage === undefined ? this.get(image) : entry;
  }

  /** All images that are here, by name: the complete, and those that were and are damaged. */
  list(): CacheEntry[] {
    return this.#options.cache.list().filter(({ complete, record }) => complete || record.damage !== undefined);
  }

  /**
   * Removes an image, or what is here of it; its fetch is cancelled first.
   *
   * @param force whether it is removed even while it is in use, unless that is as a disk
   * @throws Problem "not-found"; "conflict" if it is pinned or in use.
   */
  remove(image: string, force = false): Promise<{ digest: string; freedBytes: number }> {
    const { cache, fetches, seeding, inUse, leases, changing } = this.#options;
    return changing.run(async () => {
      const entry = this.#find(image);
      if (!entry) throw new Problem("not-found", `"${image}" is not in this node's cache`);
      if (entry.used.pinned) throw new Problem("conflict", `"${image}" is pinned; unpin it before it is removed`);
      const { digest } = entry.record;
      const disks = inUse.firmHoldersOf(digest);
      if (disks.length > 0) {
        throw new Problem(
          "conflict",
          `"${image}" is attached as ${namedOf(disks)}; detach that before the image is removed`,
        );
      }
      const holders = inUse.holdersOf(digest);
      if (holders.length > 0 && !force) {
        throw new Problem(
          "conflict",
          `"${image}" is in use: ${namedOf(holders)}; wait for it, release the lease, or force its removal`,
        );
      }
      await fetches.get(digest)?.cancel();
      await seeding.stop(digest);
      // The fetch may have taken the last trace away itself.
      const freedBytes = cache.get(digest) ? await cache.remove(digest) : 0;
      leases.imageRemoved(digest);
      return { digest, freedBytes };
    });
  }

  /** Keeps a complete image from removal, or lets go of it, in whatever state it is. @throws Problem "not-found". */
  setPinned(image: string, pinned: boolean): Promise<CacheEntry> {
    return this.#options.changing.run(async () => {
      // One that cannot be repaired could else never be removed.
      const { digest } = ((pinned ? undefined : this.#find(image)) ?? this.get(image)).record;
      await this.#options.cache.setPinned(digest, pinned);
      return this.#options.cache.get(digest) as CacheEntry;
    });
  }

  /**
   * Takes a lease on a complete image, which counts as a use of it.
   *
   * @param term how long it lasts in milliseconds, or the id of the lease that a call goes on keeping (empty: of none)
   * @throws Problem "not-found"; see Leases for others.
   */
  lease(image: string, holder: string, term: { ttlMs: number } | { again: string }): Promise<LeasedImage> {
    const { leases, space, changing } = this.#options;
    return changing.run(async () => {
      // A lease that is there is kept, whatever has been found wrong with the image since.
      const held = this.#find(image);
      const takenUp = held && "again" in term ? leases.takeUp(term.again, held.record.digest) : undefined;
      if (held && takenUp) return { lease: takenUp, entry: held };
      const entry = this.get(image);
      const { digest } = entry.record;
      const lease = await leases.acquire(digest, holder, "ttlMs" in term ? term.ttlMs : undefined);
      await space.noteUse(digest, "ensure");
      return { lease, entry };
    });
  }

  #find(image: string): CacheEntry | undefined {
    const ref = imageRefFrom(image);
    const { cache, fetches } = this.#options;
    if (ref.digest !== undefined) return cache.get(ref.digest);
    const asked = fetches.current().find((fetch) => isNamed(fetch, ref.name));
    return cache.findByName(ref.name) ?? (asked && cache.get(asked.digest));
  }

  /** What is known of an image: from the catalog, or from the cache where it answers for the catalog. */
  async #resolve(ref: ImageRef): Promise<ImageFacts> {
    const { cache, catalog, seeders, log } = this.#options;
    const known = ref.digest === undefined ? cache.findByName(ref.name) : cache.get(ref.digest);
    // A digest is the image: nothing the catalog says can change it. A name can have moved.
    if (known?.complete && (ref.digest !== undefined || !seeders.reachable)) return factsOf(known.record);
    const asked = ref.digest ?? ref.name;
    try {
      const facts = await catalog.getImage(asked, known ? askTimeoutWithCopyMs : askTimeoutMs);
      if (ref.digest !== undefined && facts.digest !== ref.digest) {
        throw new Problem("data-loss", `asked for image ${ref.digest}, the catalog answers with ${facts.digest}`);
      }
      await cache.learn(facts).catch((error: unknown) => {
        // A full disk must not keep anybody from using what is here.
        log.warn({ digest: facts.digest, error: messageOf(error) }, "cannot write down what the catalog says");
      });
      return facts;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (error.kind === "unavailable") {
        if (known) return factsOf(known.record);
        throw new Problem("unavailable", `"${asked}" is not in this node's cache, and the catalog cannot be asked`, {
          cause: error,
        });
      }
      if (error.kind === "not-found" && known) {
        throw new Problem("not-found", `${error.message} (this node still has ${known.record.digest}, once named so)`);
      }
      throw error;
    }
  }

  /** Has an image repaired whose file somebody has removed or cut: its path is not told as that of an image. */
  async #lookForFile(digest: string): Promise<void> {
    const { cache, repairs } = this.#options;
    const entry = cache.get(digest);
    if (!entry?.complete) return;
    const found = await cache.layout.disk.stat(entry.paths.data).catch((error: unknown) => {
      // Of what else the disk may answer, whoever reads the file hears soon enough.
      return systemCodeOf(error) === "ENOENT" ? undefined : { size: entry.record.sizeBytes };
    });
    if (found?.size === entry.record.sizeBytes) return;
    const what = found ? `its file has ${found.size} of ${entry.record.sizeBytes} bytes` : "its file is gone";
    await repairs.begin(digest, { what, kind: "read", piece: undefined });
  }

  /** A complete image as the end of a fetch that needed nothing. */
  #here(digest: string, name: string): EnsuredImage {
    const { cache, now } = this.#options;
    const { record, paths } = cache.get(digest) as CacheEntry;
    const at = now();
    const view: FetchView = {
      digest,
      name,
      state: "ready",
      priority: "ensure",
      sizeBytes: record.sizeBytes,
      doneBytes: record.sizeBytes,
      swarmBytes: 0,
      httpBytes: 0,
      bytesPerSecond: 0,
      etaSeconds: undefined,
      peers: 0,
      requestedAt: at,
      startedAt: undefined,
      endedAt: at,
      error: "",
      activity: "it was here already",
    };
    return { digest, view: () => view, path: paths.data };
  }
}

function isNamed(fetch: { name: string; facts: ImageFacts }, name: string | undefined): boolean {
  return name !== undefined && (fetch.name === name || fetch.facts.names.includes(name));
}

function namedOf(holders: readonly string[]): string {
  const more = holders.length > holdersNamedMax ? ` and ${holders.length - holdersNamedMax} more` : "";
  return `${holders.slice(0, holdersNamedMax).join(", ")}${more}`;
}
