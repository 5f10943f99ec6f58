/**
 * A disk that is only read, as a stack of layers: each answers what it can, and asks the one below for the rest.
 *
 *     log-disk          notes what is read, while a boot is recorded
 *     boot-image-disk   blocks of a boot image in memory
 *     image-disk        the image's file, as far as it is here; what is missing is demanded and waited for
 */

/** A byte range; a hole reads as zeros and takes no room. */
export interface Extent {
  offset: number;
  length: number;
  hole: boolean;
}

export interface Disk {
  readonly sizeBytes: number;
  /**
   * Fills `target` from `offset` on at once, where nothing has to be waited for; false, and `target` as it may be, where
   * something may. The range lies within the disk.
   *
   * @param mayTakeTurn it is all that its reader waits for: it may wait for a quick disk, once in a turn of the event loop
   */
  preadNow(target: Uint8Array, offset: number, mayTakeTurn: boolean): boolean;
  /** Whether reading a range waits for nothing but this machine's own disk. The range lies within the disk. */
  isHere(offset: number, length: number): boolean;
  /**
   * Fills `target` from `offset` on. The range lies within the disk.
   *
   * @throws DiskReadError if it cannot be read, or not in time; the signal's reason once that aborts
   */
  pread(target: Uint8Array, offset: number, signal: AbortSignal): Promise<void>;
  /**
   * What is known of a range's holes, in order and without gaps; the first begins at `offset`, and the last may end before a
   * long range does.
   */
  extents(offset: number, length: number): Extent[];
}

/** A read that fails with EIO. Its message says why, for the event that an operator reads. */
export class DiskReadError extends Error {
  override readonly name = "DiskReadError";
  /** Whether what it needed did not come in time. */
  readonly isTimeout: boolean;
  /** Where the image's file has lost what was in it; undefined for all other reasons. */
  readonly lostAt: number | undefined;

  constructor(message: string, options: { cause?: unknown; isTimeout?: boolean; lostAt?: number | undefined } = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.isTimeout = options.isTimeout ?? false;
    this.lostAt = options.lostAt;
  }
}
