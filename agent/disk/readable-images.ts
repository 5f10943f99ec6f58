import { Bitfield } from "../../swarm/bitfield.ts";
import type { CacheEntry, ImageCache } from "../cache/image-cache.ts";
import type { ReadableImages } from "./attachment.ts";
import type { Demand } from "./demand.ts";
import type { HostedImage, SharedPieces } from "./messages.ts";
import { PieceBits } from "./piece-bits.ts";

/** What tells the disk worker of images. */
interface ImageHost {
  addImage(image: HostedImage): void;
  arrived(digest: string): void;
  forget(digest: string): void;
}

interface Told {
  text: string;
  pieces: SharedPieces | undefined;
}

/** Tells the disk worker of the images that exports read, and of what becomes of them. */
export class HostedImages implements ReadableImages {
  readonly #cache: ImageCache;
  readonly #host: ImageHost;
  readonly #demand: Demand;
  readonly #users = new Map<string, number>();
  /** What was last told of each. */
  readonly #told = new Map<string, Told>();

  constructor(cache: ImageCache, host: ImageHost, demand: Demand) {
    this.#cache = cache;
    this.#host = host;
    this.#demand = demand;
    demand.listener = {
      piecesChanged: (digest) => {
        if (this.#users.has(digest)) this.#tell(digest);
      },
      arrived: (digest) => host.arrived(digest),
    };
  }

  use(digest: string): () => void {
    this.#users.set(digest, (this.#users.get(digest) ?? 0) + 1);
    const leave = this.#demand.use(digest);
    this.#tell(digest);
    let isUsed = true;
    return () => {
      if (!isUsed) return;
      isUsed = false;
      leave();
      this.#leave(digest);
    };
  }

  /** Tells of changes until the signal aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { changes } = this.#cache;
    while (!signal.aborted) {
      const { version } = changes;
      for (const digest of this.#users.keys()) this.#tell(digest);
      await changes.after(version, signal);
    }
  }

  #leave(digest: string): void {
    const users = (this.#users.get(digest) ?? 0) - 1;
    if (users > 0) {
      this.#users.set(digest, users);
      return;
    }
    this.#users.delete(digest);
    this.#told.delete(digest);
    this.#host.forget(digest);
  }

  #tell(digest: string): void {
    const entry = this.#cache.get(digest);
    const told = this.#told.get(digest);
    // One that has gone has no pieces any more, whatever was said of it.
    if (!entry) this.#demand.doubt(digest);
    const image = entry ? describe(entry) : told && { ...JSON.parse(told.text), complete: false };
    if (!image) return;
    const text = JSON.stringify(image);
    const isSame = told?.text === text;
    const pieces = this.#demand.piecesOf(digest) ?? (isSame && image.complete ? told.pieces : undefined);
    if (isSame && told.pieces === pieces) return;
    const telling = { text, pieces };
    this.#told.set(digest, telling);
    this.#host.addImage({ ...image, pieces });
    if (image.complete && !pieces) void this.#lookUpHoles(image, telling);
  }

  /**
   * No torrent has told of the pieces of an image that was complete before: it is served without them, and where its holes
   * are follows. Never rejects.
   */
  async #lookUpHoles(image: HostedImage, told: Told): Promise<void> {
    const info = await this.#cache.metainfo(image.digest);
    if (info?.lengthBytes !== image.sizeBytes || this.#told.get(image.digest) !== told) return;
    const pieces = new PieceBits(info, Bitfield.full(info.pieceCount)).shared;
    this.#told.set(image.digest, { ...told, pieces });
    this.#host.addImage({ ...image, pieces });
  }
}

function describe({ paths, record, complete }: CacheEntry): Omit<HostedImage, "pieces"> {
  return { digest: record.digest, dataPath: paths.data, sizeBytes: record.sizeBytes, complete };
}
