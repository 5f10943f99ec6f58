import type { ImageCache } from "../cache/image-cache.ts";
import type { ReadableImages } from "./attachment.ts";
import type { HostedImage } from "./messages.ts";

/** What tells the disk worker of images. */
interface ImageHost {
  addImage(image: HostedImage): void;
  forget(digest: string): void;
}

/** Tells the disk worker of the images that exports read, and of what becomes of them. */
export class HostedImages implements ReadableImages {
  readonly #cache: ImageCache;
  readonly #host: ImageHost;
  readonly #users = new Map<string, number>();
  /** What was last told of each. */
  readonly #told = new Map<string, string>();

  constructor(cache: ImageCache, host: ImageHost) {
    this.#cache = cache;
    this.#host = host;
  }

  use(digest: string): () => void {
    this.#users.set(digest, (this.#users.get(digest) ?? 0) + 1);
    this.#tell(digest);
    let isUsed = true;
    return () => {
      if (!isUsed) return;
      isUsed = false;
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
    if (!entry) return;
    const { paths, record, complete } = entry;
    const image = { digest, dataPath: paths.data, sizeBytes: record.sizeBytes, complete };
    const text = JSON.stringify(image);
    if (this.#told.get(digest) === text) return;
    this.#told.set(digest, text);
    this.#host.addImage(image);
  }
}
