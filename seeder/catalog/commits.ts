import { Serial } from "../../daemon/serial.ts";
import { ChangeFeed, type ImageChange } from "./changes.ts";
import type { Image } from "./image.ts";
import { KnownImages } from "./known-images.ts";
import type { ImageRef } from "./names.ts";

/** The changes of the catalog, one at a time, and the images as watchers have been told of them. */
export class Commits {
  readonly #serial = new Serial();
  readonly #feed = new ChangeFeed();
  #told = new KnownImages();

  /** Makes a change once all earlier ones have ended, however they ended. */
  run<T>(change: () => Promise<T>): Promise<T> {
    return this.#serial.run(change);
  }

  /** Resolves when all changes that were asked for have ended. */
  settle(): Promise<void> {
    return this.#serial.run(async () => {});
  }

  /** These images are there when the catalog starts, and nobody needs to be told. */
  begin(images: readonly Image[]): void {
    this.#told = new KnownImages(images);
  }

  /** Tells watchers what a change has done. */
  tell(change: ImageChange): void {
    if (change.kind === "retired") this.#told.delete(change.image.digest);
    else this.#told.set(change.image);
    this.#feed.publish(change);
  }

  /** All images of which watchers have been told. */
  get told(): Image[] {
    return [...this.#told];
  }

  find(ref: ImageRef): Image | undefined {
    return this.#told.find(ref);
  }

  /** Changes from this call on, as `ChangeFeed.subscribe`. */
  subscribe(signal: AbortSignal): AsyncIterable<ImageChange> {
    return this.#feed.subscribe(signal);
  }
}
