/** The wiring of all that is about boots: the boot images that disks are read through, and recording. */
import { coveredBytesMax } from "../../boot/limits.ts";
import type { ProfileExtent } from "../../boot/profile.ts";
import type { Log } from "../../daemon/log.ts";
import type { Swarm } from "../../swarm/swarm.ts";
import type { Clock } from "../../swarm/types.ts";
import type { ImageCache } from "../cache/image-cache.ts";
import type { InUse } from "../cache/in-use.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { wait } from "../clock.ts";
import type { AgentConfig } from "../config.ts";
import type { DiskHost } from "../disk/disk-host.ts";
import type { BootStats, ExportSpec, ExportStats } from "../disk/messages.ts";
import type { Fetches } from "../fetch/fetches.ts";
import type { Images } from "../images.ts";
import type { Repairs } from "../scrub/repairs.ts";
import type { Seeders } from "../seeders/seeders.ts";
import { BootImages } from "./boot-images.ts";
import { Booting } from "./booting.ts";
import { orderPieces } from "./piece-order.ts";
import { Recorder } from "./recorder.ts";
import { uploadBootImage } from "./upload-boot-image.ts";

/** A guest is started within minutes of its disk being attached; an operator who asked to record may take his time. */
const firstReadMs = 600_000;
/** The slowest boot of a full Windows from a loaded disk is far below. */
const longestMs = 1_800_000;
/** Where no piece of an image has come for so long, its boot image is fetched beside it: that may have other sources. */
const stalledMs = 3_000;
/** How often is looked whether a boot is over. */
const lookIntervalMs = 1_000;

export interface BootsOptions {
  config: AgentConfig["boot"];
  seeders: Pick<Seeders, "url" | "failed">;
  node: { id: string; name: string };
  cache: ImageCache;
  images: Images;
  fetches: Fetches;
  inUse: InUse;
  catalog: Catalog;
  repairs: Repairs;
  swarm: Swarm;
  clock: Clock;
  random: () => number;
  now: () => Date;
  log: Log;
}

export class Boots {
  readonly images: BootImages;
  readonly recorder: Recorder;
  readonly memoryBytesMax: number;
  readonly #booting = new Booting();
  readonly #options: BootsOptions;
  readonly #clock: Clock;
  #stats: BootStats = { images: 0, bytes: 0, sharedBytes: 0, reads: 0, wholeReads: 0 };
  #recorded = { published: 0, failed: 0 };

  constructor(options: BootsOptions, host: DiskHost) {
    const { config, repairs, seeders } = options;
    this.#options = options;
    this.#clock = options.clock;
    this.memoryBytesMax = config.memoryBytes;
    host.setBootMemory(config.memoryBytes);
    this.images = new BootImages({
      ...options,
      prefetch: config.prefetch,
      isUsed: config.memoryBytes > 0,
      orderPieces: (digest, extents, signal) => this.#orderPieces(digest, extents, signal),
      setBootImage: (image, files) => host.setBootImage(image, files),
      repair: (digest, damage) => repairs.begin(digest, damage),
    });
    this.recorder = new Recorder({
      ...options,
      mode: config.record,
      // Who asks for a recording says what a boot is.
      rules: {
        ...{ quietMs: config.quietMs, firstReadMs, longestMs },
        ...{ bytesMin: 0, bytesMax: coveredBytesMax, bootBytesMax: Number.POSITIVE_INFINITY },
      },
      host,
      upload: (digest, made, signal) => uploadBootImage(seeders, digest, made, signal),
      onEnded: (state) => {
        this.#recorded[state] += 1;
      },
    });
  }

  /** What boot images do in the disk worker, as it last said. Its counts begin anew if it is started anew. */
  get stats(): BootStats {
    return this.#stats;
  }

  /** Recordings that have ended. */
  get recorded(): Readonly<Record<"published" | "failed", number>> {
    return this.#recorded;
  }

  noteStats(stats: BootStats): void {
    this.#stats = stats;
  }

  /** Takes note of what an export of the image has read so far. */
  noteReads(digest: string, stats: ExportStats): void {
    this.#booting.note(stats.id, digest, stats, this.#clock.now());
  }

  /** Whether a VM boots right now from what is here of the image, so that the rest of it can wait. */
  isBooting(digest: string): boolean {
    return this.#booting.isBooting(digest, this.#clock.now());
  }

  /** Whether an export's reads are being recorded. */
  isRecorded(id: string): boolean {
    return this.recorder.isRecording(id);
  }

  /** A disk was attached and is about to be served: with a boot image here, its VM boots from that, else from pieces. */
  exportOpening({ id, digest }: ExportSpec): void {
    const isBootHere = this.memoryBytesMax > 0 && this.images.find(digest) !== undefined;
    if (!isBootHere && this.#options.cache.get(digest)?.complete) return;
    this.#booting.begin(id, digest, isBootHere ? "boot image" : "pieces", this.#clock.now());
  }

  /** A disk was attached and is served from now on. */
  exportOpened({ id, name, digest }: ExportSpec): void {
    void this.recorder.diskOpened({ id, name, digest });
  }

  exportClosed(id: string): void {
    this.#booting.forget(id);
    this.recorder.diskClosed(id);
  }

  /** Orders pieces; resolves once VMs have booted from them, or none has come for a while. Never rejects. */
  #orderPieces(digest: string, extents: readonly ProfileExtent[], signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    let cancel = this.#clock.after(stalledMs, resolve);
    let isHere = false;
    const watcher = {
      came: () => {
        if (isHere) return;
        cancel();
        cancel = this.#clock.after(stalledMs, resolve);
      },
      allHere: (isAll: boolean) => {
        if (isAll === isHere) return;
        isHere = isAll;
        if (!isAll) return this.#booting.forgetPieces(digest);
        this.#booting.piecesCame(digest);
        cancel();
        void this.#untilBooted(digest, signal).then(resolve);
      },
    };
    void orderPieces(this.#options, digest, extents, watcher, signal).finally(() => {
      cancel();
      this.#booting.forgetPieces(digest);
      resolve();
    });
    return promise;
  }

  /** Never rejects. */
  async #untilBooted(digest: string, signal: AbortSignal): Promise<void> {
    while (!signal.aborted && this.isBooting(digest)) {
      await wait(this.#clock, lookIntervalMs, signal).catch(() => {});
    }
  }
}
