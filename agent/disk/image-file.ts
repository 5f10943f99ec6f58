/**
 * An image's file, shared by all exports of the image: what of it is here is read, what is not is asked of the main thread
 * and waited for.
 *
 * All that reads of the image wait for is told in one message whenever it changes, so that the other side never has to
 * keep account of reads; a turn of the event loop is gathered. Pieces of zeros are known from their hash and are never
 * waited for.
 */
import { closeSync, fstatSync, openSync, read, readSync, statSync } from "node:fs";
import { systemCodeOf } from "../../daemon/problem.ts";
import type { Clock } from "../../swarm/types.ts";
import { DiskReadError, type Extent } from "./disk.ts";
import { mergeDemand } from "./merge-demand.ts";
import type { DemandedRange, HostedImage } from "./messages.ts";
import type { OnceATurn } from "./once-a-turn.ts";
import { PieceMap, type Range } from "./piece-map.ts";
import { diskQuickMs, QuickReads } from "./quick-reads.ts";

/** How often guesses are looked at again while nothing else happens: readers end without a word. */
const guessesLookMs = 5_000;
/** How long the main thread may take to have a lost piece fetched anew, before whoever reads it is told of the loss. */
const repairPatienceMs = 10_000;
/** What a read answers of bytes that the disk has lost; other faults are not of the file. */
const lostCodes = ["EIO", "ENODATA", "EBADMSG", "EUCLEAN", "EILSEQ"];

export interface ImageFileOptions {
  clock: Clock;
  /** Whoever is read at once from a disk, of all images. */
  diskTurn: OnceATurn;
  /** How long this thread has waited for a processor so far. */
  runQueueMs: () => number;
  /** What reads wait for has changed. */
  onDemand(ranges: DemandedRange[]): void;
  /** Reads that waited were served; how long each did. */
  onServed(waitedMs: number[]): void;
  /** A byte of a complete image cannot be read: it is to be fetched anew. */
  onLost(offset: number, error: string): void;
}

interface Wait {
  range: Range;
  sinceMs: number;
  arrive(): void;
}

export class ImageFile {
  readonly #options: ImageFileOptions;
  readonly #waits = new Set<Wait>();
  /** What each export's readers will want next. */
  readonly #guessers = new Set<() => Range[]>();
  /** Whether the kernel has the file in memory, and whether the disk is a quick one. */
  readonly #quick = new QuickReads();
  readonly #quickDisk = new QuickReads(diskQuickMs);
  #image: HostedImage;
  #map: PieceMap;
  /** -1 while it is not open. */
  #fd = -1;
  #announcing = false;
  /** What was told last, as text: most turns change nothing. */
  #announced = "[]";
  #servedMs: number[] = [];
  #cancelLook: (() => void) | undefined;
  #closed = false;
  /** Counts the files that were closed: a descriptor's number may be another file's after that. */
  #filesClosed = 0;
  /** Those who wait for a repair to begin. */
  readonly #bereaved = new Set<() => void>();

  constructor(image: HostedImage, options: ImageFileOptions) {
    this.#options = options;
    this.#image = image;
    this.#map = new PieceMap(image);
  }

  get sizeBytes(): number {
    return this.#image.sizeBytes;
  }

  get isComplete(): boolean {
    return this.#image.complete;
  }

  /** What is known of it has changed. */
  update(image: HostedImage): void {
    const map = new PieceMap(image);
    const isOther = this.#fd >= 0 && !isSameFile(this.#fd, image.dataPath);
    this.#image = image;
    this.#map = map;
    if (isOther) this.#closeFile();
    if (!image.complete) for (const tell of [...this.#bereaved]) tell();
    this.arrived();
  }

  /** Bits were set: whoever waited for them goes on. */
  arrived(): void {
    const nowMs = this.#options.clock.now();
    for (const wait of this.#waits) {
      if (!this.isHere(wait.range.offset, wait.range.length)) continue;
      this.#waits.delete(wait);
      this.#servedMs.push(nowMs - wait.sinceMs);
      wait.arrive();
    }
    this.announce();
  }

  isHere(offset: number, length: number): boolean {
    return this.#map.isHere(offset, length);
  }

  extents(offset: number, length: number): Extent[] {
    return this.#map.extents(offset, length);
  }

  /** Fills `target` if that is likely to take no time, or may take a turn and no longer than a quick disk does. */
  readNow(target: Uint8Array, offset: number, mayTakeTurn: boolean): boolean {
    if (!this.#map.isInFile(offset, target.length)) {
      if (!this.isHere(offset, target.length)) return false;
      const [first] = this.#map.extents(offset, target.length);
      if (!first?.hole || first.length < target.length) return false;
      target.fill(0);
      return true;
    }
    const isQuick = this.#quick.mayRead();
    if (!isQuick && !(mayTakeTurn && this.#quickDisk.mayRead() && this.#options.diskTurn.take())) return false;
    const map = this.#map;
    const queuedMs = isQuick ? 0 : this.#options.runQueueMs();
    const startMs = performance.now();
    let bytesRead: number;
    try {
      bytesRead = readSync(this.#open(), target, 0, target.length, offset);
    } catch {
      // Whoever reads it again, with time to wait, is told what is wrong.
      return false;
    }
    const tookMs = performance.now() - startMs;
    // Where others have the processors, most of a disk's read is the wait for one.
    this.#noteRead(isQuick, target.length, isQuick ? tookMs : tookMs - (this.#options.runQueueMs() - queuedMs));
    return bytesRead === target.length && map.isInFile(offset, target.length);
  }

  #noteRead(wasFromMemory: boolean, bytes: number, tookMs: number): void {
    if (wasFromMemory) {
      this.#quick.note(bytes, tookMs);
    } else {
      this.#quick.noteOther(bytes, tookMs);
      this.#quickDisk.note(bytes, tookMs);
    }
  }

  /**
   * Fills `target`, whose range is here. It is not touched any more once this has settled.
   *
   * @returns false if what was read has come into doubt meanwhile: it is to be waited for and read anew
   * @throws DiskReadError if the file cannot be read
   */
  async read(target: Uint8Array, offset: number): Promise<boolean> {
    const map = this.#map;
    const filesClosed = this.#filesClosed;
    const isSound = () => filesClosed === this.#filesClosed && map.isHere(offset, target.length);
    try {
      for (const { range, zero } of map.parts(offset, target.length)) {
        const part = target.subarray(range.offset - offset, range.offset - offset + range.length);
        if (zero) part.fill(0);
        else await this.#readFile(part, range.offset);
      }
    } catch (error) {
      if (isSound()) throw error;
    }
    // Bits are taken back before the file is touched, and for good: what comes anew has others.
    return isSound();
  }

  /**
   * Has what the disk has lost of a complete image fetched anew.
   *
   * @returns whether that has begun, so that it can be waited for
   * @throws the signal's reason once that aborts
   */
  async whenInRepair({ lostAt, message }: DiskReadError, signal: AbortSignal): Promise<boolean> {
    if (lostAt === undefined || !this.#image.complete) return false;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const begun = () => resolve(true);
    const gone = () => resolve(false);
    if (this.#bereaved.size === 0) this.#options.onLost(lostAt, message);
    this.#bereaved.add(begun);
    signal.addEventListener("abort", gone, { once: true });
    const cancel = this.#options.clock.after(repairPatienceMs, gone);
    const hasBegun = await promise;
    cancel();
    signal.removeEventListener("abort", gone);
    this.#bereaved.delete(begun);
    signal.throwIfAborted();
    return hasBegun;
  }

  /**
   * Waits until a range is here.
   *
   * @throws DiskReadError if it is not in time; the signal's reason once that aborts
   */
  whenHere(offset: number, length: number, timeoutMs: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason as Error);
      const end = (act: () => void) => {
        cancel();
        signal.removeEventListener("abort", onAbort);
        this.#waits.delete(wait);
        this.announce();
        act();
      };
      const onAbort = () => end(() => reject(signal.reason as Error));
      const cancel = clock.after(timeoutMs, () => {
        const why = this.#image.pieces
          ? "have not arrived"
          : "cannot be verified, as the image's pieces are not known,";
        const error = new DiskReadError(`bytes ${offset} to ${offset + length - 1} ${why} within ${timeoutMs} ms`, {
          isTimeout: true,
        });
        end(() => reject(error));
      });
      const wait: Wait = { range: { offset, length }, sinceMs: clock.now(), arrive: () => end(resolve) };
      signal.addEventListener("abort", onAbort);
      this.#waits.add(wait);
      this.announce();
    });
  }

  /** Adds guesses to what is asked for, until the function returned is called; `announce` when they change. */
  addGuesser(windows: () => Range[]): () => void {
    this.#guessers.add(windows);
    return () => {
      this.#guessers.delete(windows);
      this.announce();
    };
  }

  /** Tells what is waited for, at the end of this turn, if that has changed. */
  announce(): void {
    if (this.#announcing || this.#closed) return;
    this.#announcing = true;
    setImmediate(() => {
      this.#announcing = false;
      if (!this.#closed) this.#tell();
    });
  }

  /** Nobody reads it any more. */
  close(): void {
    this.#closed = true;
    this.#cancelLook?.();
    this.#closeFile();
  }

  #tell(): void {
    if (this.#servedMs.length > 0) {
      this.#options.onServed(this.#servedMs);
      this.#servedMs = [];
    }
    const missing = ({ offset, length }: Range) => this.#map.missing(offset, length);
    const waited = [...this.#waits].flatMap(({ range }) => missing(range));
    const guessed = this.#image.complete ? [] : [...this.#guessers].flatMap((windows) => windows()).flatMap(missing);
    const ranges = mergeDemand(waited, guessed);
    this.#cancelLook?.();
    this.#cancelLook = guessed.length > 0 ? this.#options.clock.after(guessesLookMs, () => this.announce()) : undefined;
    const text = JSON.stringify(ranges);
    if (text === this.#announced) return;
    this.#announced = text;
    this.#options.onDemand(ranges);
  }

  async #readFile(target: Uint8Array, offset: number): Promise<void> {
    for (let done = 0; done < target.length; ) {
      let bytesRead: number;
      try {
        bytesRead = await readInto(this.#open(), target, done, offset + done);
      } catch (error) {
        const lostAt = lostCodes.includes(systemCodeOf(error) ?? "") ? offset + done : undefined;
        throw new DiskReadError(`cannot read ${this.#image.dataPath} at ${offset + done}`, { cause: error, lostAt });
      }
      if (bytesRead === 0) {
        const lostAt = offset + done;
        throw new DiskReadError(`${this.#image.dataPath} ends at ${lostAt}, before the image`, { lostAt });
      }
      done += bytesRead;
    }
  }

  /** Its descriptor, which is opened when it is needed first: until then the file need not exist. */
  #open(): number {
    if (this.#closed) throw new Error("the image is not served any more");
    if (this.#fd < 0) this.#fd = openSync(this.#image.dataPath, "r");
    return this.#fd;
  }

  #closeFile(): void {
    if (this.#fd < 0) return;
    const fd = this.#fd;
    this.#fd = -1;
    this.#filesClosed += 1;
    closeSync(fd);
  }
}

/** Whether a path still leads to an open file. */
function isSameFile(fd: number, path: string): boolean {
  try {
    const [open, there] = [fstatSync(fd), statSync(path)];
    return open.ino === there.ino && open.dev === there.dev;
  } catch (error) {
    if (systemCodeOf(error) === "ENOENT") return false;
    throw error;
  }
}

function readInto(fd: number, target: Uint8Array, at: number, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(fd, target, at, target.length - at, position, (error, bytesRead) =>
      error ? reject(error) : resolve(bytesRead),
    );
  });
}
