/** Brings here what the other seeders of the catalog hold and this one does not, a few images at a time. */
import { messageOf, Problem } from "../../daemon/problem.ts";
import type { TorrentInfo } from "../../swarm/types.ts";
import type { Image } from "../catalog/image.ts";
import { diskProblem } from "../catalog/image-files.ts";
import type { CopyProgress } from "../store/replica-store.ts";
import { type CopyParts, fetchCopy } from "./copy.ts";
import { freeFloorBytes, wantedCopies } from "./wanted.ts";

/** Waits after copies of one image that failed in a row: doubling. */
const retryMsMin = 1_000;
const retryMsMax = 60_000;

/** The files of copies that are under way. */
export interface CopyFiles {
  copyDirectory(digest: string): Promise<string>;
  discardCopy(digest: string): Promise<void>;
  copies(): Promise<string[]>;
  space(): Promise<{ freeBytes: number; sizeBytes: number }>;
}

export interface CopiesOptions extends CopyParts {
  files: CopyFiles;
  /** Whether an image's bytes are here. */
  isHere: (image: Image) => boolean;
  /** How many live seeders hold it. */
  copiesOf: (digest: string) => number;
  /** Takes in an image that is whole. False if it is in the catalog no more. */
  adopt: (image: Image, info: TorrentInfo | undefined) => Promise<boolean>;
  rules: { concurrency: number; freeFloorBytes: number | "auto" };
  onBytes: (bytes: number, source: "swarm" | "http") => void;
  onEnded: (result: "copied" | "failed") => void;
  nowMs: () => number;
  random: () => number;
}

interface Copying {
  image: Image;
  doneBytes: number;
  /** All of it is here and right: the catalog is asked to take it in. */
  isWhole: boolean;
  abort: AbortController;
  ended: Promise<void>;
}

interface Failed {
  times: number;
  notBeforeMs: number;
  trouble: string;
}

export class Copies {
  readonly #options: CopiesOptions;
  readonly #active = new Map<string, Copying>();
  readonly #failed = new Map<string, Failed>();
  #images: readonly Image[] = [];
  #missing = 0;
  #closed = false;

  constructor(options: CopiesOptions) {
    this.#options = options;
  }

  /** Images of the catalog that are not here. */
  get missing(): number {
    return this.#missing;
  }

  /** What is on its way, and what does not come, with the reason. */
  progress(): CopyProgress[] {
    const active = [...this.#active.values()].map(({ image, doneBytes }) => {
      return { digest: image.digest, sizeBytes: image.sizeBytes, doneBytes, trouble: this.#troubleOf(image.digest) };
    });
    const waiting = this.#images
      .filter(({ digest }) => !this.#active.has(digest) && this.#failed.has(digest))
      .map(({ digest, sizeBytes }) => ({ digest, sizeBytes, doneBytes: 0, trouble: this.#troubleOf(digest) }));
    return [...active, ...waiting];
  }

  /** Removes what is left of copies of images that are in the catalog no more, or that are here. */
  async tidy(images: readonly Image[]): Promise<void> {
    const wanted = new Set(images.filter((image) => !this.#options.isHere(image)).map(({ digest }) => digest));
    for (const digest of await this.#options.files.copies()) {
      if (!wanted.has(digest)) await this.#options.files.discardCopy(digest);
    }
  }

  /** Begins what there is to begin, of the catalog's images as they are now. */
  async admit(images: readonly Image[]): Promise<void> {
    const { isHere, copiesOf, rules, nowMs, files } = this.#options;
    this.#images = images.filter((image) => !isHere(image));
    this.#missing = this.#images.length;
    for (const digest of this.#failed.keys()) {
      if (!this.#images.some((image) => image.digest === digest)) this.#failed.delete(digest);
    }
    if (this.#active.size >= rules.concurrency || this.#closed) return;
    const choice = {
      images: this.#images,
      isHere: (digest: string) => this.#active.has(digest),
      copiesOf,
      notBeforeMs: (digest: string) => this.#failed.get(digest)?.notBeforeMs ?? 0,
      nowMs: nowMs(),
    };
    const wanted = wantedCopies(choice);
    if (wanted.length === 0) return;
    const { freeBytes, sizeBytes } = await files.space();
    let room = freeBytes - freeFloorBytes(rules.freeFloorBytes, sizeBytes) - this.#claimedBytes();
    for (const image of wanted) {
      if (this.#active.size >= rules.concurrency || this.#closed) return;
      if (image.sizeBytes > room) {
        this.#fail(image, new Problem("exhausted", `there is no room for its ${image.sizeBytes} bytes on this disk`));
        continue;
      }
      room -= image.sizeBytes;
      this.#begin(image);
    }
  }

  /** Ends the copy of an image and removes it. */
  async end(digest: string): Promise<void> {
    const copying = this.#active.get(digest);
    copying?.abort.abort(new Error("it is not wanted any more"));
    // One that is whole may wait for the very change in which this is called.
    if (!copying?.isWhole) await copying?.ended;
    this.#failed.delete(digest);
    await this.#options.files.discardCopy(digest);
  }

  /** Stops all copies; what has come stays for the next start. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const { abort } of this.#active.values()) abort.abort(new Error("the seeder is stopping"));
    await Promise.all([...this.#active.values()].map(({ ended }) => ended));
  }

  #claimedBytes(): number {
    return [...this.#active.values()].reduce((sum, { image, doneBytes }) => sum + image.sizeBytes - doneBytes, 0);
  }

  #begin(image: Image): void {
    const copying: Copying = {
      ...{ image, doneBytes: 0, isWhole: false },
      ...{ abort: new AbortController(), ended: Promise.resolve() },
    };
    this.#active.set(image.digest, copying);
    copying.ended = this.#run(copying);
  }

  /** Never rejects. */
  async #run(copying: Copying): Promise<void> {
    const { files, adopt, onBytes, onEnded, log } = this.#options;
    const { image, abort } = copying;
    const { signal } = abort;
    const fields = { digest: image.digest, name: image.names[0], sizeBytes: image.sizeBytes };
    log.debug(fields, "copying an image from the other seeders");
    try {
      const directory = await files.copyDirectory(image.digest);
      const onProgress = (doneBytes: number) => {
        copying.doneBytes = doneBytes;
      };
      const info = await fetchCopy(this.#options, { image, directory, onProgress, onBytes, signal });
      signal.throwIfAborted();
      copying.isWhole = true;
      if (await adopt(image, info)) log.info(fields, "copied an image from the other seeders");
      else await files.discardCopy(image.digest);
      this.#failed.delete(image.digest);
      onEnded("copied");
    } catch (error) {
      if (signal.aborted) return;
      this.#fail(image, diskProblem(error));
      onEnded("failed");
    } finally {
      this.#active.delete(image.digest);
    }
  }

  #fail(image: Image, error: unknown): void {
    const { nowMs, random, log } = this.#options;
    const times = (this.#failed.get(image.digest)?.times ?? 0) + 1;
    const waitMs = Math.min(retryMsMax, retryMsMin * 2 ** Math.min(times - 1, 10)) * (0.5 + random() / 2);
    const trouble = messageOf(error);
    this.#failed.set(image.digest, { times, notBeforeMs: nowMs() + waitMs, trouble });
    const fields = { digest: image.digest, name: image.names[0], error: trouble, times };
    if (times === 1) log.warn(fields, "an image does not come from the other seeders; trying again");
    else log.debug(fields, "an image still does not come from the other seeders");
  }

  #troubleOf(digest: string): string {
    return this.#failed.get(digest)?.trouble ?? "";
  }
}
