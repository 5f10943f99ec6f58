/** The catalog's images in memory, by digest and by name, for who asks too often to ask the database each time. */
import type { Image } from "./image.ts";
import type { ImageRef } from "./names.ts";

export class KnownImages {
  readonly #byDigest = new Map<string, Image>();
  readonly #digestOf = new Map<string, string>();

  constructor(images: Iterable<Image> = []) {
    for (const image of images) this.set(image);
  }

  /** Adds an image, or what has become of it. */
  set(image: Image): void {
    this.delete(image.digest);
    this.#byDigest.set(image.digest, image);
    for (const name of image.names) this.#digestOf.set(name, image.digest);
  }

  delete(digest: string): void {
    for (const name of this.#byDigest.get(digest)?.names ?? []) {
      // A name that was free for a moment may be another's by now.
      if (this.#digestOf.get(name) === digest) this.#digestOf.delete(name);
    }
    this.#byDigest.delete(digest);
  }

  find(ref: ImageRef): Image | undefined {
    const digest = "digest" in ref ? ref.digest : this.#digestOf.get(ref.name);
    return digest === undefined ? undefined : this.#byDigest.get(digest);
  }

  [Symbol.iterator](): Iterator<Image> {
    return this.#byDigest.values();
  }
}
