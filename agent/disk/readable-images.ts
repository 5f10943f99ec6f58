import type { CacheEntry, ImageCache } from "../cache/image-cache.ts";
import type { ReadableImages } from "./attachment.ts";
import type { Demand } from "./demand.ts";
import type { HostedImage, SharedPieces } from "./messages.ts";

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
    const pieces = image.complete ? undefined : this.#demand.piecesOf(digest);
    if (told?.text === text && told.pieces === pieces) return;
    this.#told.set(digest, { text, pieces });
    this.#host.addImage({ ...image, pieces });
  }
}

function describe({ paths, record, complete }: CacheEntry): Omit<HostedImage, "pieces"> {
  return { digest: record.digest, dataPath: paths.data, sizeBytes: record.sizeBytes, complete };
}
