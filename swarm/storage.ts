/**
 * A torrent's data in one sparse file, and the bitmap of the pieces in it that are verified.
 *
 * A bit is set in the bitmap's file only after its piece has been synced to disk, so that a crash at any moment loses at
 * most pieces, never the truth about them. Syncs go by group: once a second while pieces come, and at close. The bitmap
 * file is the wire's bitfield and a CRC-32 of it; one that is torn is not believed, and all pieces are hashed anew.
 */
import { hash } from "node:crypto";
import { crc32 } from "node:zlib";
import { Bitfield } from "./bitfield.ts";
import { type Disk, type DiskFile, readStart, writeAll } from "./disk.ts";
import { pieceBytesOf, pieceHashOf } from "./metainfo.ts";
import type { PieceStorage, StorageOptions } from "./types.ts";

/** How long a verified piece may wait for its bit in the bitmap's file. */
const flushIntervalMs = 1_000;
const checksumBytes = 4;

export class Storage implements PieceStorage {
  readonly have: Bitfield;
  onFault: (error: Error) => void = () => {};
  readonly #options: StorageOptions;
  readonly #disk: Disk;
  readonly #file: DiskFile;
  #flushTimer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();
  #flushing: Promise<void> = Promise.resolve();
  #dirty = false;

  private constructor(options: StorageOptions, disk: Disk, file: DiskFile, have: Bitfield) {
    this.#disk = disk;
    this.#options = options;
    this.#file = file;
    this.have = have;
  }

  /**
   * Opens the file, or creates it sparse at its full length. The bitmap is believed if it is whole; if it is missing or
   * torn and there is data, every piece is hashed. `signal` ends the hashing.
   *
   * @throws Error of the file system, or if `complete` data has the wrong length.
   */
  static async open(options: StorageOptions, signal: AbortSignal, disk: Disk): Promise<Storage> {
    const { info, dataPath, havePath, complete } = options;
    const file = await disk.open(dataPath, complete ? "r" : await flagsFor(disk, dataPath));
    try {
      const { size } = await file.stat();
      if (complete) {
        if (size !== info.lengthBytes) {
          throw new Error(`${dataPath} has ${size} bytes where its torrent has ${info.lengthBytes}`);
        }
        return new Storage(options, disk, file, Bitfield.full(info.pieceCount));
      }
      const recorded = havePath === undefined ? undefined : await readBitmap(disk, havePath, info.pieceCount);
      if (size !== info.lengthBytes) await file.truncate(info.lengthBytes);
      // A file that was shorter than the bitmap supposes has lost pieces.
      const believed = recorded && size >= info.lengthBytes ? recorded : undefined;
      const have = believed ?? new Bitfield(info.pieceCount);
      const storage = new Storage(options, disk, file, have);
      if (!believed && size > 0) await storage.#hashAll(signal);
      return storage;
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  get doneBytes(): number {
    const { info } = this.#options;
    if (this.have.count === 0) return 0;
    const last = info.pieceCount - 1;
    const shortBy = this.have.has(last) ? info.pieceLengthBytes - pieceBytesOf(info, last) : 0;
    return this.have.count * info.pieceLengthBytes - shortBy;
  }

  async verify(index: number, piece: Uint8Array): Promise<boolean> {
    return hash("sha1", piece, "buffer").equals(pieceHashOf(this.#options.info, index));
  }

  /** One positioned write, as a rule. */
  async write(index: number, piece: Uint8Array): Promise<void> {
    // One after the other: writers of one file would only wait for each other in the kernel, and burn a core with it.
    const writing = this.#writing.then(() => this.#writePiece(index, piece));
    this.#writing = writing.catch(() => {});
    await writing;
    this.have.add(index);
    this.#noteChange();
  }

  async read(offset: number, buffers: readonly Uint8Array[]): Promise<void> {
    let rest = [...buffers];
    for (let at = offset; rest.length > 0; ) {
      const { bytesRead } = await this.#file.readv(rest, at);
      if (bytesRead === 0) throw new Error(`${this.#options.dataPath} ends at ${at}, before its torrent does`);
      at += bytesRead;
      rest = restAfter(rest, bytesRead);
    }
  }

  flush(): Promise<void> {
    clearTimeout(this.#flushTimer);
    this.#flushTimer = undefined;
    // One that failed has told its caller; the next tries again.
    this.#flushing = this.#flushing.catch(() => {}).then(() => this.#writeDown());
    return this.#flushing;
  }

  async #writeDown(): Promise<void> {
    if (!this.#dirty || this.#options.havePath === undefined) return;
    this.#dirty = false;
    // What is set by now is written by now; pieces that come during the sync wait for the next flush.
    const bytes = Uint8Array.from(this.have.bytes);
    try {
      await this.#file.datasync();
      await writeBitmap(this.#disk, this.#options.havePath, bytes);
    } catch (error) {
      this.#dirty = true;
      throw error;
    }
  }

  async close(): Promise<void> {
    try {
      await this.flush();
    } finally {
      await this.#file.close();
    }
  }

  async #writePiece(index: number, piece: Uint8Array): Promise<void> {
    await writeAll(this.#file, piece, index * this.#options.info.pieceLengthBytes);
  }

  #noteChange(): void {
    this.#dirty = true;
    this.#flushTimer ??= setTimeout(() => this.flush().catch((error: Error) => this.onFault(error)), flushIntervalMs);
  }

  async #hashAll(signal: AbortSignal): Promise<void> {
    const { info } = this.#options;
    const buffer = Buffer.allocUnsafe(info.pieceLengthBytes);
    for (let index = 0; index < info.pieceCount; index++) {
      signal.throwIfAborted();
      // What cannot be read is fetched again like what is wrong.
      const piece = buffer.subarray(0, pieceBytesOf(info, index));
      const isRead = await this.read(index * info.pieceLengthBytes, [piece]).then(
        () => true,
        () => false,
      );
      if (isRead && (await this.verify(index, piece))) this.have.add(index);
    }
    this.#dirty = true;
    await this.flush();
  }
}

/** What is left to be filled of `buffers` after so many bytes. */
function restAfter(buffers: Uint8Array[], bytes: number): Uint8Array[] {
  let filled = bytes;
  const first = buffers.findIndex((buffer) => {
    if (filled < buffer.length) return true;
    filled -= buffer.length;
    return false;
  });
  if (first < 0) return [];
  return [(buffers[first] as Uint8Array).subarray(filled), ...buffers.slice(first + 1)];
}

async function flagsFor(disk: Disk, path: string): Promise<"r+" | "w+"> {
  try {
    await (await disk.open(path, "r+")).close();
    return "r+";
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "w+";
    throw error;
  }
}

async function readBitmap(disk: Disk, path: string, pieceCount: number): Promise<Bitfield | undefined> {
  try {
    const file = await disk.open(path, "r");
    const bytes = await readStart(file, Math.ceil(pieceCount / 8) + checksumBytes + 1).finally(() => file.close());
    const field = bytes.subarray(0, -checksumBytes);
    if (bytes.length <= checksumBytes || crc32(field) !== bytes.readUInt32BE(field.length)) return undefined;
    return Bitfield.fromBytes(field, pieceCount);
  } catch {
    return undefined;
  }
}

async function writeBitmap(disk: Disk, path: string, field: Uint8Array): Promise<void> {
  const checksum = Buffer.alloc(checksumBytes);
  checksum.writeUInt32BE(crc32(field));
  const file = await disk.open(`${path}.new`, "w+");
  try {
    await writeAll(file, Buffer.concat([field, checksum]), 0);
    await file.datasync();
  } finally {
    await file.close();
  }
  await disk.rename(`${path}.new`, path);
}
