/**
 * The file that says which pieces are verified and on disk:
 *
 *     slot 0, slot 1    generation (8 bytes), infohash (20), bitfield, CRC-32 of these; each slot in blocks of its own
 *     written           a bitfield without checksum: pieces that were written, synced or not
 *
 * The slots are written in turns, each synced before the other is touched, so that a crash or a torn write leaves the
 * slot before it whole; of two whole slots the later generation counts. What `written` says beyond that is only in
 * doubt: worth a hash, and a wrong bit costs no more. It is not synced: it is for the death of the process, which leaves
 * the kernel's memory as it is, while after a loss of power the slots decide.
 */
import { crc32 } from "node:zlib";
import { Bitfield } from "./bitfield.ts";
import { type Disk, type DiskFile, openOrCreate, readStart, writeAll } from "./disk.ts";

/** No disk tears a write beyond the blocks that it covers. */
const blockBytes = 4_096;
const generationBytes = 8;
const infohashBytes = 20;
const checksumBytes = 4;

/** Of which torrent, and how many pieces that has. */
export interface HaveFileOf {
  infohash: string;
  pieceCount: number;
}

export class HaveFile {
  readonly #file: DiskFile;
  readonly #of: HaveFileOf;
  #generation: number;
  /** What the slots say, by their place; undefined where a slot is torn or empty. */
  readonly #slots: (Bitfield | undefined)[];
  /** The pieces noted when the file was opened: those that had been written, whether or not they were ever synced. */
  readonly written: Bitfield;

  private constructor(file: DiskFile, of: HaveFileOf, content: HaveFileContent) {
    this.#file = file;
    this.#of = of;
    this.#slots = content.slots.map((slot) => slot?.have);
    this.#generation = Math.max(0, ...content.slots.map((slot) => slot?.generation ?? 0));
    this.written = content.written;
  }

  /** Opens the file, or makes an empty one. One that is torn or of another torrent opens as one that records nothing. */
  static async open(disk: Disk, path: string, of: HaveFileOf): Promise<HaveFile> {
    const file = await openOrCreate(disk, path);
    try {
      return new HaveFile(file, of, contentFrom(await readStart(file, layoutOf(of.pieceCount).fileBytes), of));
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** The pieces that are recorded as verified and synced; undefined if no slot is whole. */
  get recorded(): Bitfield | undefined {
    return this.#slots[this.#generation % 2];
  }

  /** Records the pieces that are verified and synced. Pieces taken out are out of the older slot too. */
  async record(have: Uint8Array): Promise<void> {
    const field = Bitfield.fromBytes(have, this.#of.pieceCount);
    await this.#writeSlot(field);
    const older = this.#slots[(this.#generation + 1) % 2];
    if (older && older.changesTo(field).removed.length > 0) await this.#writeSlot(field);
  }

  /** Notes the pieces that are written, for a look at them after the process has died. Nothing is synced. */
  async note(written: Uint8Array): Promise<void> {
    await writeAll(this.#file, written, layoutOf(this.#of.pieceCount).writtenAt);
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  async #writeSlot(field: Bitfield): Promise<void> {
    const generation = this.#generation + 1;
    const { slotBytes } = layoutOf(this.#of.pieceCount);
    // Whatever comes of this write, the slot is not what it was.
    this.#slots[generation % 2] = undefined;
    await writeAll(this.#file, slotFrom(generation, this.#of, field), (generation % 2) * slotBytes);
    await this.#file.datasync();
    this.#slots[generation % 2] = field;
    this.#generation = generation;
  }
}

interface HaveFileContent {
  slots: ({ generation: number; have: Bitfield } | undefined)[];
  written: Bitfield;
}

/** Reads what such a file holds. Pure. */
export function contentFrom(bytes: Uint8Array, of: HaveFileOf): HaveFileContent {
  const { slotBytes, writtenAt, fieldBytes } = layoutOf(of.pieceCount);
  const slots = [0, 1].map((place) => readSlot(bytes.subarray(place * slotBytes, (place + 1) * slotBytes), of));
  return { slots, written: fieldOrEmpty(bytes.subarray(writtenAt, writtenAt + fieldBytes), of.pieceCount) };
}

function layoutOf(pieceCount: number) {
  const fieldBytes = Math.ceil(pieceCount / 8);
  const usedBytes = generationBytes + infohashBytes + fieldBytes + checksumBytes;
  const slotBytes = Math.ceil(usedBytes / blockBytes) * blockBytes;
  return { fieldBytes, usedBytes, slotBytes, writtenAt: 2 * slotBytes, fileBytes: 2 * slotBytes + fieldBytes };
}

function slotFrom(generation: number, of: HaveFileOf, have: Bitfield): Buffer {
  const { usedBytes } = layoutOf(of.pieceCount);
  const slot = Buffer.alloc(usedBytes);
  slot.writeBigUInt64BE(BigInt(generation));
  slot.write(of.infohash, generationBytes, "hex");
  slot.set(have.bytes, generationBytes + infohashBytes);
  slot.writeUInt32BE(crc32(slot.subarray(0, -checksumBytes)), usedBytes - checksumBytes);
  return slot;
}

function readSlot(bytes: Uint8Array, { infohash, pieceCount }: HaveFileOf) {
  const { usedBytes } = layoutOf(pieceCount);
  if (bytes.length < usedBytes) return undefined;
  const slot = Buffer.from(bytes.buffer, bytes.byteOffset, usedBytes);
  if (crc32(slot.subarray(0, -checksumBytes)) !== slot.readUInt32BE(usedBytes - checksumBytes)) return undefined;
  const fieldAt = generationBytes + infohashBytes;
  if (slot.toString("hex", generationBytes, fieldAt) !== infohash) return undefined;
  try {
    const have = Bitfield.fromBytes(slot.subarray(fieldAt, -checksumBytes), pieceCount);
    return { generation: Number(slot.readBigUInt64BE()), have };
  } catch {
    return undefined;
  }
}

function fieldOrEmpty(bytes: Uint8Array, pieceCount: number): Bitfield {
  try {
    return Bitfield.fromBytes(bytes, pieceCount);
  } catch {
    return new Bitfield(pieceCount);
  }
}
