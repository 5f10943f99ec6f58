/**
 * Boot images on the node's main thread: which image has one here, fetching those that are wanted, and telling the disk worker
 * of those that disks are attached of. A boot image is an image like others: the cache has it, the swarm brings it.
 */
import { open } from "node:fs/promises";
import { BootFormatError } from "../../boot/byte-reader.ts";
import { decodeProfile, type ProfileExtent } from "../../boot/profile.ts";
import { readHead } from "../../boot/read-file.ts";
import type { Log } from "../../daemon/log.ts";
import { messageOf, Problem } from "../../daemon/problem.ts";
import type { Clock } from "../../swarm/types.ts";
import type { CacheEntry, ImageCache } from "../cache/image-cache.ts";
import type { InUse } from "../cache/in-use.ts";
import type { FetchPriority, ImageFacts } from "../cache/records.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { BootImageFiles } from "../disk/messages.ts";
import { hasEnded } from "../fetch/fetch-view.ts";
import type { Fetches } from "../fetch/fetches.ts";
import type { Images } from "../images.ts";
import type { Damage } from "../scrub/check-image.ts";
import { bootNameOf } from "./boot-names.ts";

/** all: every boot image as soon as the catalog tells of it; used: of images that are here; off: never ahead of need. */
export const bootPrefetchModes = ["all", "used", "off"] as const;
export type BootPrefetch = (typeof bootPrefetchModes)[number];

const askTimeoutMs = 5_000;
/** Boot images fetched ahead of need at once: a catalog of them must not fill the queue of fetches that somebody wants. */
const lanesMax = 2;
/** Those that wait; a catalog has fewer. */
const aheadMax = 100_000;
/**
 * One that is found damaged so soon after it was fetched again for that is as it was published, and not to be read here: it may
 * be of a later version. To fetch it once more would only lead here again.
 */
const repairRestMs = 600_000;

export interface BootImagesOptions {
  prefetch: BootPrefetch;
  /** Whether there is memory for any; profiles order pieces all the same. */
  isUsed: boolean;
  cache: ImageCache;
  images: Pick<Images, "ensure">;
  fetches: Pick<Fetches, "changes">;
  inUse: InUse;
  catalog: Pick<Catalog, "getImage" | "bootProfile">;
  /** Told of a boot image that disks are to be read through; null: of none any more. */
  setBootImage: (image: { digest: string; sizeBytes: number }, files: BootImageFiles | null) => void;
  /**
   * Has the pieces of an image that is on its way come in this order. Resolves once a boot image of it would keep nobody
   * waiting: at the end of the boot that reads those pieces, or where they do not come. Never rejects.
   */
  orderPieces: (digest: string, extents: readonly ProfileExtent[], signal: AbortSignal) => Promise<void>;
  repair: (digest: string, damage: Damage) => Promise<unknown>;
  clock: Pick<Clock, "now">;
  log: Log;
}

/** An image that disks are attached of. */
interface Used {
  users: number;
  stop: AbortController;
  /** Keeps the boot image and its sources from eviction. */
  held: Map<string, () => void>;
  /** Resolves once the disk worker knows of the boot image, or once it is known not to be here. */
  told: Promise<void>;
}

export class BootImages {
  readonly #options: BootImagesOptions;
  readonly #used = new Map<string, Used>();
  /** Boot images to be fetched ahead of need, by name or digest. */
  readonly #ahead = new Set<string>();
  readonly #closing = new AbortController();
  /** When a damaged boot image was last fetched again, by its digest. */
  readonly #repairedAtMs = new Map<string, number>();
  #lanes = 0;
  #badCount = 0;

  constructor(options: BootImagesOptions) {
    this.#options = options;
  }

  /** Boot images that were found damaged, or that did not fit their image or the memory. */
  get badCount(): number {
    return this.#badCount;
  }

  /** The boot image of an image, if it is here. */
  find(digest: string): CacheEntry | undefined {
    const entry = this.#options.cache.findByName(bootNameOf(digest));
    return entry?.complete && entry.record.bootOf === digest ? entry : undefined;
  }

  /**
   * Has an image read through its boot image, from now until what is returned is called. One that is here is loaded at
   * once; one that is not is fetched, and meanwhile its profile orders the image's own pieces.
   */
  use(digest: string): () => void {
    const known = this.#used.get(digest);
    const used: Used = known ?? { users: 0, stop: new AbortController(), held: new Map(), told: Promise.resolve() };
    this.#used.set(digest, used);
    used.users += 1;
    if (!known) used.told = this.#prepare(digest, used);
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      used.users -= 1;
      if (used.users > 0) return;
      this.#used.delete(digest);
      used.stop.abort(new Problem("cancelled", "no disk is attached of the image any more"));
      for (const release of used.held.values()) release();
    };
  }

  /** Resolves once the disk worker knows of the boot image of an image in use, if that is here. Never rejects. */
  async whenTold(digest: string): Promise<void> {
    await this.#used.get(digest)?.told;
  }

  /** Looks at what the catalog says of an image: whether it is a boot image that is wanted here. */
  consider({ digest, bootOf, names }: ImageFacts): void {
    if (bootOf === undefined || names.length === 0) return;
    const used = this.#used.get(bootOf);
    if (used) {
      void this.#prepare(bootOf, used);
      return;
    }
    const { prefetch, cache } = this.#options;
    const isWanted = prefetch === "all" || (prefetch === "used" && cache.get(bootOf) !== undefined);
    if (isWanted && !cache.get(digest)?.complete) this.#fetchAhead(bootNameOf(bootOf));
  }

  /** Looks whether the boot image of an image that has come is wanted. */
  imageCame(digest: string): void {
    const { prefetch, cache } = this.#options;
    if (prefetch !== "used" || this.find(digest) || cache.get(digest)?.record.bootOf !== undefined) return;
    this.#fetchAhead(bootNameOf(digest));
  }

  /** Ends what is fetched ahead of need: the agent's next start begins again. */
  close(): void {
    this.#closing.abort(new Problem("cancelled", "the agent is stopping"));
    this.#ahead.clear();
  }

  /** Fetches a boot image that nobody waits for, after those that were wanted before. */
  #fetchAhead(image: string): void {
    if (this.#ahead.size >= aheadMax || !this.#options.isUsed) return;
    this.#ahead.add(image);
    while (this.#lanes < lanesMax && this.#ahead.size > 0) {
      this.#lanes += 1;
      void this.#runLane().finally(() => {
        this.#lanes -= 1;
      });
    }
  }

  async #runLane(): Promise<void> {
    for (let [image] = this.#ahead; image !== undefined; [image] = this.#ahead) {
      this.#ahead.delete(image);
      await this.#fetch(image, this.#closing.signal, "prefetch").catch((error: unknown) => {
        if (this.#closing.signal.aborted || isNotFound(error)) return;
        this.#options.log.info({ image, error: messageOf(error) }, "a boot image was not fetched ahead of need");
      });
    }
  }

  /** The disk worker does not use a boot image. A damaged one is fetched again, and then used. */
  async bad({ digest, error, isDamaged }: { digest: string; error: string; isDamaged: boolean }): Promise<void> {
    const { repair, cache, clock, log } = this.#options;
    this.#badCount += 1;
    const bootOf = cache.get(digest)?.record.bootOf;
    log.warn({ digest, bootOf, error }, "a boot image is not used; disks read from the image itself");
    const nowMs = clock.now();
    const restedMs = nowMs - (this.#repairedAtMs.get(digest) ?? Number.NEGATIVE_INFINITY);
    if (!isDamaged || restedMs < repairRestMs) return;
    this.#repairedAtMs.set(digest, nowMs);
    try {
      await repair(digest, { what: `as a boot image: ${error}`, kind: "hash", piece: undefined });
    } catch (fault) {
      log.warn({ digest, error: messageOf(fault) }, "cannot fetch a boot image again yet");
    }
    for (const [image, used] of this.#used) if (used.held.has(digest)) void this.#prepare(image, used);
  }

  /**
   * Finds or brings the boot image, and tells the disk worker. Resolves once that knows of what is here; the rest follows.
   * Never rejects.
   */
  async #prepare(digest: string, used: Used): Promise<void> {
    const { isUsed, log } = this.#options;
    const { signal } = used.stop;
    const failed = (error: unknown) => {
      if (signal.aborted || isNotFound(error)) return;
      log.info({ digest, error: messageOf(error) }, "no boot image is used for a disk");
    };
    const boot = this.find(digest);
    if (!boot || !isUsed) {
      const ordered = this.#orderByProfile(digest, signal);
      if (!isUsed) return;
      // It is of use to the next VM only: this one boots from the image's pieces before all of it is here.
      ordered
        .then(() => signal.throwIfAborted())
        .then(() => this.#fetch(bootNameOf(digest), signal))
        .then((fetched) => this.#take(digest, fetched, used))
        .catch(failed);
      return;
    }
    await this.#take(digest, boot, used).catch(failed);
  }

  /** Tells the disk worker of a boot image that is here, and again once more of its sources are. */
  async #take(digest: string, boot: CacheEntry, used: Used): Promise<void> {
    const { cache } = this.#options;
    const { signal } = used.stop;
    if (boot.record.bootOf !== digest) throw new Problem("data-loss", `${bootNameOf(digest)} is no boot image of it`);
    this.#hold(used, boot.record.digest, digest);
    const sources = await this.#sourcesOf(boot);
    signal.throwIfAborted();
    const missing = sources.filter((source) => !cache.get(source)?.complete);
    for (const source of sources) if (!missing.includes(source)) this.#hold(used, source, digest);
    this.#tell(digest, boot, sources);
    if (missing.length > 0) void this.#fetchSources(digest, boot, { sources, missing }, used);
  }

  #tell(digest: string, boot: CacheEntry, sources: readonly string[]): void {
    const { cache, setBootImage } = this.#options;
    const sizeBytes = cache.get(digest)?.record.sizeBytes;
    if (sizeBytes === undefined) return;
    const here = sources.map((source) => cache.get(source)).filter((entry) => entry?.complete) as CacheEntry[];
    setBootImage(
      { digest, sizeBytes },
      {
        digest: boot.record.digest,
        path: boot.paths.data,
        sources: here.map(({ record, paths }) => ({ digest: record.digest, path: paths.data })),
      },
    );
  }

  /** Never rejects. */
  async #fetchSources(
    digest: string,
    boot: CacheEntry,
    { sources, missing }: { sources: readonly string[]; missing: readonly string[] },
    used: Used,
  ): Promise<void> {
    const { signal } = used.stop;
    for (const source of missing) {
      try {
        await this.#fetch(source, signal);
        this.#hold(used, source, digest);
        this.#tell(digest, boot, sources);
      } catch (error) {
        if (signal.aborted) return;
        this.#options.log.info({ digest: source, error: messageOf(error) }, "a part of a boot image is not here");
      }
    }
  }

  async #sourcesOf({ record, paths }: CacheEntry): Promise<string[]> {
    try {
      await using file = await open(paths.data);
      return (await readHead(file)).head.sources.map(({ digest }) => digest);
    } catch (error) {
      if (error instanceof BootFormatError)
        void this.bad({ digest: record.digest, error: error.message, isDamaged: true });
      throw error;
    }
  }

  /** Fetches a boot image ahead of all that is not waited for, and resolves once it is here. */
  async #fetch(image: string, signal: AbortSignal, priority: FetchPriority = "demand"): Promise<CacheEntry> {
    const { images, fetches, cache } = this.#options;
    const ensured = await images.ensure(image, priority);
    for (;;) {
      const { version } = fetches.changes;
      const { state, error } = ensured.view();
      if (hasEnded(state)) {
        const entry = cache.get(ensured.digest);
        if (state === "ready" && entry?.complete) return entry;
        throw new Problem("unavailable", `the fetch of ${image} has ended: ${error || state}`);
      }
      await fetches.changes.after(version, signal);
      signal.throwIfAborted();
    }
  }

  #hold(used: Used, digest: string, image: string): void {
    if (used.held.has(digest)) return;
    used.held.set(digest, this.#options.inUse.hold(digest, `boot image of ${image}`));
  }

  /** Resolves as `orderPieces` does, and where there is no order. Never rejects. */
  async #orderByProfile(digest: string, signal: AbortSignal): Promise<void> {
    const { cache, catalog, orderPieces, log } = this.#options;
    if (cache.get(digest)?.complete) return;
    try {
      const profile = decodeProfile(await catalog.bootProfile(digest, askTimeoutMs));
      const sizeBytes = cache.get(digest)?.record.sizeBytes;
      if (profile.imageDigest !== digest || profile.imageBytes !== sizeBytes) {
        throw new Problem(
          "data-loss",
          `the catalog's profile is of ${profile.imageDigest}, ${profile.imageBytes} bytes`,
        );
      }
      if (!signal.aborted) await orderPieces(digest, profile.extents, signal);
    } catch (error) {
      if (!isNotFound(error)) log.info({ digest, error: messageOf(error) }, "no boot profile orders an image's pieces");
    }
  }
}

function isNotFound(error: unknown): boolean {
  return error instanceof Problem && error.kind === "not-found";
}
