/**
 * Boot images in memory, under a budget. What several of them have in common is in one of them (boot/README.md), and so in
 * memory once. When a boot image needs room, those that were used longest ago go, whoever has them attached: their bytes are
 * read from the image again.
 */
import { open } from "node:fs/promises";
import { BootFormatError } from "../../../boot/byte-reader.ts";
import { readHead } from "../../../boot/read-file.ts";
import { messageOf } from "../../../daemon/problem.ts";
import type { BootImageFiles, BootStats } from "../messages.ts";
import { BootContent } from "./boot-content.ts";
import { BootIndex } from "./boot-index.ts";

export interface BootMemoryOptions {
  /**
   * Told of a boot image that is not used.
   *
   * @param digest the boot image's own
   * @param isDamaged its file is not what it should be; otherwise it does not fit its image, or the budget
   */
  onBad: (digest: string, path: string, error: string, isDamaged: boolean) => void;
}

export class BootMemory {
  readonly #options: BootMemoryOptions;
  #bytesMax = 0;
  /** By the image's digest. */
  readonly #indexes = new Map<string, BootIndex>();
  /** By the boot image's digest; the one used last is last. */
  readonly #contents = new Map<string, BootContent>();
  #lastRead: BootIndex | undefined;
  #reads = 0;
  #wholeReads = 0;
  /** Loads one after the other: room is made for one at a time. */
  #loading: Promise<void> = Promise.resolve();

  constructor(options: BootMemoryOptions) {
    this.#options = options;
  }

  setBudget(bytesMax: number): void {
    this.#bytesMax = bytesMax;
    this.#makeRoom(0, new Set());
  }

  /** Where an image's bytes are in memory, as far as they are. */
  indexOf(imageDigest: string): BootIndex | undefined {
    return this.#indexes.get(imageDigest);
  }

  /** Notes that an image's boot image served a read, or a part of it. */
  noteRead(index: BootIndex, isWhole: boolean): void {
    this.#reads += 1;
    if (isWhole) this.#wholeReads += 1;
    if (this.#lastRead === index) return;
    // Who reads last goes last. One boot's reads come many in a row.
    this.#lastRead = index;
    for (const content of index.contents) this.#noteUse(content);
  }

  /** `bytes` counts what boot images have in common once, `sharedBytes` what it would be more without. */
  stats(): BootStats {
    let bytes = 0;
    for (const { sizeBytes } of this.#contents.values()) bytes += sizeBytes;
    let images = 0;
    let neededBytes = 0;
    for (const index of this.#indexes.values()) {
      if (!index.contents.every((content) => this.#contents.get(content.digest) === content)) continue;
      images += 1;
      neededBytes += index.neededBytes;
    }
    const sharedBytes = Math.max(0, neededBytes - bytes);
    return { images, bytes, sharedBytes, reads: this.#reads, wholeReads: this.#wholeReads };
  }

  /** Loads an image's boot image, or takes it up again. Resolves once its index is there; never rejects. */
  use(image: { digest: string; sizeBytes: number }, files: BootImageFiles): Promise<void> {
    this.#loading = this.#loading.then(() => this.#load(image, files));
    return this.#loading;
  }

  /** Uses an image's boot image no more. What no other refers to is dropped. */
  drop(imageDigest: string): void {
    this.#indexes.delete(imageDigest);
    const needed = new Set([...this.#indexes.values()].flatMap(({ contents }) => contents));
    for (const [digest, content] of this.#contents) {
      if (needed.has(content)) continue;
      this.#contents.delete(digest);
      content.drop();
    }
  }

  async #load(image: { digest: string; sizeBytes: number }, files: BootImageFiles): Promise<void> {
    if (this.#bytesMax === 0) return;
    const { digest, path } = files;
    const before = this.#indexes.get(image.digest);
    if (before?.contents.every((content) => this.#contents.get(content.digest) === content)) {
      if (before.contents[0]?.digest === digest && before.contents.length === 1 + files.sources.length) return;
    }
    try {
      const { head, headBytes } = await headOf(path);
      const { imageDigest, imageBytes } = head.profile;
      if (imageDigest !== image.digest || imageBytes !== image.sizeBytes) {
        throw new UnfitError(
          `it is of image ${imageDigest} with ${imageBytes} bytes, not of ${image.digest} with ${image.sizeBytes}`,
        );
      }
      const used = new Set([digest, ...head.sources.map((source) => source.digest)]);
      const own = this.#contents.get(digest) ?? this.#take(digest, path, head, headBytes, used);
      const sources: (BootContent | undefined)[] = [];
      for (const source of head.sources) sources.push(await this.#source(source, files, used));
      this.#indexes.set(image.digest, new BootIndex(image.sizeBytes, head.segments, own, sources));
    } catch (error) {
      this.#options.onBad(digest, path, messageOf(error), !(error instanceof UnfitError));
    }
  }

  async #source(
    source: { digest: string; contentPages: number },
    { sources }: BootImageFiles,
    used: ReadonlySet<string>,
  ): Promise<BootContent | undefined> {
    const known = this.#contents.get(source.digest);
    if (known) return known;
    const path = sources.find(({ digest }) => digest === source.digest)?.path;
    // Without it the pages that it has are read from the image.
    if (path === undefined) return undefined;
    try {
      const { head, headBytes } = await headOf(path);
      if (head.contentPages !== source.contentPages)
        throw new BootFormatError("it has not the length that it should have");
      return this.#take(source.digest, path, head, headBytes, used);
    } catch (error) {
      this.#options.onBad(source.digest, path, messageOf(error), !(error instanceof UnfitError));
      return undefined;
    }
  }

  /** Begins to load a content, with room for it. @throws UnfitError if the budget is less than it alone needs. */
  #take(
    digest: string,
    path: string,
    head: Awaited<ReturnType<typeof headOf>>["head"],
    headBytes: number,
    used: ReadonlySet<string>,
  ): BootContent {
    const content: BootContent = new BootContent(digest, path, head, headBytes, (error) => {
      if (this.#contents.get(digest) === content) this.#contents.delete(digest);
      this.#options.onBad(digest, path, messageOf(error), true);
    });
    if (!this.#makeRoom(content.sizeBytes, used)) {
      content.drop();
      throw new UnfitError(
        `it takes ${content.sizeBytes} bytes of memory, and boot.memoryBytes allows ${this.#bytesMax} for all; allow more`,
      );
    }
    this.#contents.set(digest, content);
    return content;
  }

  /** Drops what was used longest ago until so many bytes more fit; false if they cannot. */
  #makeRoom(neededBytes: number, kept: ReadonlySet<string>): boolean {
    let bytes = neededBytes;
    let keptBytes = neededBytes;
    for (const { digest, sizeBytes } of this.#contents.values()) {
      bytes += sizeBytes;
      if (kept.has(digest)) keptBytes += sizeBytes;
    }
    if (keptBytes > this.#bytesMax) return false;
    for (const [digest, content] of this.#contents) {
      if (bytes <= this.#bytesMax) break;
      if (kept.has(digest)) continue;
      this.#contents.delete(digest);
      content.drop();
      bytes -= content.sizeBytes;
    }
    return true;
  }

  #noteUse(content: BootContent): void {
    if (this.#contents.get(content.digest) !== content) return;
    this.#contents.delete(content.digest);
    this.#contents.set(content.digest, content);
  }
}

/** It is sound, but cannot be used here. */
class UnfitError extends Error {}

async function headOf(path: string) {
  await using file = await open(path);
  return await readHead(file);
}
