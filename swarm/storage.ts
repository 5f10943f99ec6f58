/**
 * A torrent's data in one sparse file, and the record of the pieces in it that are verified.
 *
 * A piece is recorded only after it has been synced to disk, so that a crash at any moment loses at most pieces, never the
 * truth about them. Syncs go by group: once a second while pieces come, and at close. Pieces that were written and not
 * yet recorded are noted, so that after the death of the process they are hashed, and nothing else is: see have-file.ts.
 */
import { hash } from "node:crypto";
import { dirname } from "node:path";
import { Bitfield } from "./bitfield.ts";
import { type Disk, type DiskFile, flushPath, openOrCreate } from "./disk.ts";
import { HaveFile } from "./have-file.ts";
import { pieceBytesOf, pieceHashOf } from "./metainfo.ts";
import { writeSparsely, writeZeros } from "./sparse-write.ts";
import type { Clock, PieceStorage, StorageOptions, StorageRepair, TorrentInfo } from "./types.ts";
import { WarmPieces } from "./warm-pieces.ts";
import { zeroPiecesOf } from "./zero-pieces.ts";

/** How long a verified piece may wait for its record. */
const flushIntervalMs = 1_000;
/** How long a written piece may wait for its note: what arrives in this time comes twice if the process dies. */
const noteIntervalMs = 20;

export interface StorageTools {
  disk: Disk;
  clock: Clock;
}

export class Storage implements PieceStorage {
  readonly have: Bitfield;
  /** What was found in doubt when it was opened. */
  repair: StorageRepair | undefined;
  onFault: (error: Error) => void = () => {};
  #zeroBytes = 0;
  readonly #options: StorageOptions;
  readonly #clock: Clock;
  readonly #file: DiskFile;
  readonly #haveFile: HaveFile | undefined;
  #cancelFlush: (() => void) | undefined;
  #cancelNote: (() => void) | undefined;
  #writing: Promise<void> = Promise.resolve();
  #flushing: Promise<void> = Promise.resolve();
  #dirty = false;
  /** A sync of the data failed: what had not been synced by then is in doubt for good. */
  #syncFault: Error | undefined;
  readonly #warm = new WarmPieces();

  private constructor(options: StorageOptions, clock: Clock, files: OpenFiles, have: Bitfield) {
    this.#options = options;
    this.#clock = clock;
    this.#file = files.data;
    this.#haveFile = files.have;
    this.have = have;
  }

  /**
   * Opens the file, or creates it sparse at its full length. What is recorded is believed as far as the file goes; what
   * was only noted is hashed, and if the record is missing or torn, all there is. Pieces of zeros are here from then on: a
   * new file has nothing else. `signal` ends what takes long.
   *
   * @throws Error of the file system, or if `complete` data has the wrong length.
   */
  static async open(options: StorageOptions, signal: AbortSignal, { disk, clock }: StorageTools): Promise<Storage> {
    const { info, dataPath, havePath, complete } = options;
    const files: OpenFiles = {
      data: await (complete ? disk.open(dataPath, "r") : openOrCreate(disk, dataPath)),
      have: undefined,
    };
    try {
      const { size } = await files.data.stat();
      if (complete) {
        if (size !== info.lengthBytes) {
          throw new Error(`${dataPath} has ${size} bytes where its torrent has ${info.lengthBytes}`);
        }
        return new Storage(options, clock, files, Bitfield.full(info.pieceCount));
      }
      if (havePath !== undefined) files.have = await HaveFile.open(disk, havePath, info);
      const { sure, doubtful, lost } = judge(info, size, files.have);
      if (files.have && (lost > 0 || !files.have.recorded)) {
        // Before the file gets its length: afterwards nothing would tell what it has lost.
        await files.have.note(union(sure, doubtful).bytes);
        await files.have.record(sure.bytes);
        await flushPath(disk, dirname(havePath as string));
      }
      if (size !== info.lengthBytes) await files.data.truncate(info.lengthBytes);
      const storage = new Storage(options, clock, files, sure);
      const kept = doubtful.count > 0 ? await storage.#hashDoubtful(doubtful, signal) : 0;
      await storage.#takeZeros(size, signal);
      if (doubtful.count + lost > 0) storage.repair = { hashed: doubtful.count, kept, lost };
      return storage;
    } catch (error) {
      await files.have?.close();
      await files.data.close();
      throw error;
    }
  }

  get isInDoubt(): boolean {
    return this.#syncFault !== undefined;
  }

  get zeroBytes(): number {
    return this.#zeroBytes;
  }

  get doneBytes(): number {
    const { info } = this.#options;
    if (this.have.count === 0) return 0;
    const last = info.pieceCount - 1;
    const shortBy = this.have.has(last) ? info.pieceLengthBytes - pieceBytesOf(info, last) : 0;
    return this.have.count * info.pieceLengthBytes - shortBy;
  }

  verify(index: number, piece: Uint8Array): boolean {
    return hash("sha1", piece, "buffer").equals(pieceHashOf(this.#options.info, index));
  }

  /** One positioned write, as a rule. */
  async write(index: number, piece: Uint8Array): Promise<void> {
    // One after the other: writers of one file would only wait for each other in the kernel, and burn a core with it.
    const writing = this.#writing.then(() => this.#writePiece(index, piece));
    this.#writing = writing.catch(() => {});
    await writing;
    this.have.add(index);
    this.#warm.note(index, piece.length);
    this.#noteChange();
  }

  /** By the main thread, since no disk has a part in it. */
  readNow(offset: number, buffers: readonly Uint8Array[]): boolean {
    if (!this.#file.readvNow || !this.#warm.has(this.#pieceAt(offset))) return false;
    try {
      return this.#file.readvNow(buffers, offset) === bytesOf(buffers);
    } catch {
      // Reading in the ordinary way tells what is amiss.
      return false;
    }
  }

  async read(offset: number, buffers: readonly Uint8Array[]): Promise<void> {
    let rest = [...buffers];
    for (let at = offset; rest.length > 0; ) {
      const { bytesRead } = await this.#file.readv(rest, at);
      if (bytesRead === 0) throw new Error(`${this.#options.dataPath} ends at ${at}, before its torrent does`);
      at += bytesRead;
      rest = restAfter(rest, bytesRead);
    }
    this.#noteRead(offset, buffers);
  }

  #noteRead(offset: number, buffers: readonly Uint8Array[]): void {
    const { info } = this.#options;
    const index = this.#pieceAt(offset);
    const bytes = bytesOf(buffers);
    if (offset === index * info.pieceLengthBytes && bytes === pieceBytesOf(info, index)) this.#warm.note(index, bytes);
  }

  #pieceAt(offset: number): number {
    return Math.floor(offset / this.#options.info.pieceLengthBytes);
  }

  flush(): Promise<void> {
    this.#cancelFlush?.();
    this.#cancelFlush = undefined;
    // One that failed has told its caller; the next tries again.
    this.#flushing = this.#flushing.catch(() => {}).then(() => this.#writeDown());
    return this.#flushing;
  }

  async #writeDown(): Promise<void> {
    if (this.#syncFault) throw this.#syncFault;
    if (!this.#dirty || this.#haveFile === undefined) return;
    this.#dirty = false;
    // What is set by now is written by now; pieces that come during the sync wait for the next flush.
    const bytes = Uint8Array.from(this.have.bytes);
    try {
      await this.#file.datasync();
    } catch (error) {
      await this.#disownUnsynced(error as Error);
      throw error;
    }
    try {
      // A record that proves torn leaves its pieces in doubt, not lost.
      await this.#haveFile.note(this.have.bytes);
      await this.#haveFile.record(bytes);
    } catch (error) {
      this.#dirty = true;
      throw error;
    }
  }

  /**
   * The kernel may have dropped what it could not write, and call it clean: the next sync would succeed, and a hash find
   * the bytes in memory. So those pieces are to be fetched again, and not even a hash is believed.
   */
  async #disownUnsynced(fault: Error): Promise<void> {
    this.#syncFault = fault;
    this.#cancelNote?.();
    const synced = this.#haveFile?.recorded ?? new Bitfield(this.have.size);
    await this.#haveFile?.note(synced.bytes).catch(() => {});
  }

  async close(): Promise<void> {
    try {
      await this.flush();
    } finally {
      this.#cancelNote?.();
      await this.#haveFile?.close();
      await this.#file.close();
    }
  }

  async #writePiece(index: number, piece: Uint8Array): Promise<void> {
    await writeSparsely(this.#file, piece, index * this.#options.info.pieceLengthBytes);
  }

  #noteChange(): void {
    this.#dirty = true;
    this.#cancelFlush ??= this.#clock.after(flushIntervalMs, () => {
      this.flush().catch((error: Error) => this.onFault(error));
    });
    this.#cancelNote ??= this.#clock.after(noteIntervalMs, () => {
      this.#cancelNote = undefined;
      // Without it pieces are fetched twice, no more; what ails the disk is told by the next write or flush.
      if (!this.#syncFault) this.#haveFile?.note(this.have.bytes).catch(() => {});
    });
  }

  /** Takes the pieces of zeros for here, those that read otherwise once they have been mended. */
  async #takeZeros(sizeBefore: number, signal: AbortSignal): Promise<void> {
    const { info } = this.#options;
    const zeros = zeroPiecesOf(info);
    for (let index = 0; zeros.count > 0 && index < info.pieceCount; index++) {
      if (!zeros.has(index) || this.have.has(index)) continue;
      signal.throwIfAborted();
      const bytes = pieceBytesOf(info, index);
      const offset = index * info.pieceLengthBytes;
      try {
        // What the file did not reach to has never been anything else.
        if (offset < sizeBefore) await writeZeros(this.#file, offset, bytes);
      } catch {
        // It is fetched like any other, and whatever ails the disk is told then.
        continue;
      }
      this.have.add(index);
      this.#zeroBytes += bytes;
    }
    if (this.#zeroBytes > 0) this.#noteChange();
  }

  /** How many of the pieces proved right; they are recorded. */
  async #hashDoubtful(doubtful: Bitfield, signal: AbortSignal): Promise<number> {
    const { info } = this.#options;
    const before = this.have.count;
    const buffer = Buffer.allocUnsafe(info.pieceLengthBytes);
    for (let index = 0; index < info.pieceCount; index++) {
      if (!doubtful.has(index)) continue;
      signal.throwIfAborted();
      const piece = buffer.subarray(0, pieceBytesOf(info, index));
      try {
        await this.read(index * info.pieceLengthBytes, [piece]);
        if (!this.verify(index, piece)) continue;
        // After a failed sync the kernel shows what the disk does not have: written anew, the next sync is of it too.
        await this.#writePiece(index, piece);
        this.have.add(index);
      } catch {
        // What cannot be read or written is fetched again like what is wrong.
      }
    }
    this.#dirty = true;
    await this.flush();
    return this.have.count - before;
  }
}

function bytesOf(buffers: readonly Uint8Array[]): number {
  return buffers.reduce((sum, { length }) => sum + length, 0);
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

interface OpenFiles {
  data: DiskFile;
  have: HaveFile | undefined;
}

/** Which pieces of a file of so many bytes can be believed unseen, which are worth a hash, and how many recorded are gone. */
function judge(info: TorrentInfo, sizeBytes: number, haveFile: HaveFile | undefined) {
  const { lengthBytes, pieceLengthBytes, pieceCount } = info;
  const wholeCount = sizeBytes >= lengthBytes ? pieceCount : Math.floor(sizeBytes / pieceLengthBytes);
  const recorded = haveFile?.recorded;
  const sure = new Bitfield(pieceCount);
  const doubtful = new Bitfield(pieceCount);
  for (let index = 0; index < wholeCount; index++) {
    if (recorded?.has(index)) sure.add(index);
    else if (!recorded || haveFile?.written.has(index)) doubtful.add(index);
  }
  return { sure, doubtful, lost: (recorded?.count ?? 0) - sure.count };
}

function union(one: Bitfield, other: Bitfield): Bitfield {
  return Bitfield.fromBytes(
    one.bytes.map((byte, at) => byte | (other.bytes[at] as number)),
    one.size,
  );
}
