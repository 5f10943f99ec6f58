/**
 * The lowest layer of an export's disk: the image's file. Reads of what is here go to the file; others wait for their
 * pieces, as long as the export allows. Readers that read on and on are followed, so that what they want next is on its way
 * before they ask.
 */
import type { Clock } from "../../swarm/types.ts";
import { type Disk, DiskReadError, type Extent } from "./disk.ts";
import type { ImageFile } from "./image-file.ts";
import { ReadAhead } from "./read-ahead.ts";

/** Bytes that one export has read. */
export interface ImageDiskCounters {
  fileBytes: number;
  /** Of reads that had to wait for a piece. */
  demandBytes: number;
}

export class ImageDisk implements Disk {
  readonly counters: ImageDiskCounters = { fileBytes: 0, demandBytes: 0 };
  readonly #file: ImageFile;
  readonly #readTimeoutMs: number;
  readonly #clock: Clock;
  readonly #readAhead = new ReadAhead();
  readonly #forget: () => void;

  constructor(file: ImageFile, readTimeoutMs: number, clock: Clock) {
    this.#file = file;
    this.#readTimeoutMs = readTimeoutMs;
    this.#clock = clock;
    this.#forget = file.addGuesser(() => this.#readAhead.windows(file.sizeBytes, clock.now()));
  }

  get sizeBytes(): number {
    return this.#file.sizeBytes;
  }

  preadNow(target: Uint8Array, offset: number, mayTakeTurn: boolean): boolean {
    if (!this.#file.readNow(target, offset, mayTakeTurn)) return false;
    this.#follow(offset, target.length);
    this.counters.fileBytes += target.length;
    return true;
  }

  isHere(offset: number, length: number): boolean {
    return this.#file.isHere(offset, length);
  }

  async pread(target: Uint8Array, offset: number, signal: AbortSignal): Promise<void> {
    this.#follow(offset, target.length);
    let hasWaited = false;
    let isInRepair = false;
    for (;;) {
      if (!this.#file.isHere(offset, target.length)) {
        await this.#file.whenHere(offset, target.length, this.#readTimeoutMs, signal);
        hasWaited = true;
      }
      try {
        if (await this.#file.read(target, offset)) break;
      } catch (error) {
        // What this machine's disk has lost, peers have. If it loses it again, the VM is told.
        const mayRepair = !isInRepair && error instanceof DiskReadError;
        if (!mayRepair || !(await this.#file.whenInRepair(error, signal))) throw error;
        isInRepair = true;
      }
    }
    if (hasWaited) this.counters.demandBytes += target.length;
    else this.counters.fileBytes += target.length;
  }

  extents(offset: number, length: number): Extent[] {
    return this.#file.extents(offset, length);
  }

  /** Its export is closed. */
  close(): void {
    this.#forget();
  }

  #follow(offset: number, length: number): void {
    if (this.#file.isComplete) return;
    if (this.#readAhead.note(offset, length, this.#clock.now())) this.#file.announce();
  }
}
