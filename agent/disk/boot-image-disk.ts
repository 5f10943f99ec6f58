/**
 * Blocks of a boot image in memory, above an image's disk. A read, or the part of one, that the boot image has is answered
 * from memory; the rest goes below. While the boot image is being loaded its reads wait for it: it comes in the order of the
 * boot and within a fraction of a second, and below they might wait for a peer.
 *
 * A boot image that turns out to be damaged, or has to make room, takes nothing with it: its reads go below from then on.
 */
import type { BootIndex, BootPart } from "./boot/boot-index.ts";
import type { Disk, Extent } from "./disk.ts";

/** Bytes and reads that never reached the disk below. */
export interface BootServed {
  bytes: number;
  reads: number;
}

export interface BootImageDiskOptions {
  below: Disk;
  /** The boot image as it is now; undefined while there is none. */
  index: () => BootIndex | undefined;
  /** Told of every read that it had a part in. */
  onServed: (index: BootIndex, bytes: number, isWhole: boolean) => void;
}

export class BootImageDisk implements Disk {
  readonly sizeBytes: number;
  readonly #options: BootImageDiskOptions;
  readonly #below: Disk;

  constructor(options: BootImageDiskOptions) {
    this.#options = options;
    this.#below = options.below;
    this.sizeBytes = options.below.sizeBytes;
  }

  preadNow(target: Uint8Array, offset: number, mayTakeTurn: boolean): boolean {
    const index = this.#options.index();
    if (!index) return this.#below.preadNow(target, offset, mayTakeTurn);
    let bytes = 0;
    for (let done = 0; done < target.length; ) {
      const part = index.partAt(offset + done);
      const piece = target.subarray(done, endOf(part) - offset);
      if (typeof part !== "number" && copyPart(part, piece)) bytes += piece.length;
      else if (typeof part !== "number" && part.content?.isComing(part.contentOffset, piece.length)) return false;
      else if (!this.#below.preadNow(piece, offset + done, mayTakeTurn)) return false;
      done += piece.length;
    }
    if (bytes > 0) this.#options.onServed(index, bytes, bytes === target.length);
    return true;
  }

  isHere(offset: number, length: number): boolean {
    const index = this.#options.index();
    if (!index) return this.#below.isHere(offset, length);
    for (let done = 0; done < length; ) {
      const part = index.partAt(offset + done);
      const bytes = Math.min(endOf(part) - offset, length) - done;
      const isComing = typeof part !== "number" && (!part.content || part.content.isComing(part.contentOffset, bytes));
      if (!isComing && !this.#below.isHere(offset + done, bytes)) return false;
      done += bytes;
    }
    return true;
  }

  async pread(target: Uint8Array, offset: number, signal: AbortSignal): Promise<void> {
    const index = this.#options.index();
    if (!index) return await this.#below.pread(target, offset, signal);
    let bytes = 0;
    const below: Promise<void>[] = [];
    for (let done = 0; done < target.length; ) {
      const part = index.partAt(offset + done);
      const piece = target.subarray(done, endOf(part) - offset);
      const at = offset + done;
      done += piece.length;
      if (typeof part === "number") below.push(this.#below.pread(piece, at, signal));
      else if (copyPart(part, piece)) bytes += piece.length;
      else {
        below.push(
          this.#whenHere(part, piece, at, signal).then((isServed) => {
            if (isServed) bytes += piece.length;
          }),
        );
      }
    }
    await allOf(below);
    if (bytes > 0) this.#options.onServed(index, bytes, bytes === target.length);
  }

  extents(offset: number, length: number): Extent[] {
    return this.#below.extents(offset, length);
  }

  /** Fills a part once it is in memory, or from below if it does not come; answers whether it came. */
  async #whenHere(part: BootPart, piece: Uint8Array, offset: number, signal: AbortSignal): Promise<boolean> {
    const isHere = await part.content?.whenHere(part.contentOffset, piece.length, signal);
    if (isHere && copyPart(part, piece)) return true;
    await this.#below.pread(piece, offset, signal);
    return false;
  }
}

function endOf(part: BootPart | number): number {
  return typeof part === "number" ? part : part.end;
}

function copyPart({ content, contentOffset }: BootPart, target: Uint8Array): boolean {
  if (content) return content.copy(target, contentOffset);
  target.fill(0);
  return true;
}

/** Waits for all, also after one has failed: the target must not be written to once the read has been answered. */
async function allOf(reads: readonly Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(reads)) if (result.status === "rejected") throw result.reason;
}
