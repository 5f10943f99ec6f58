/** What claims to be a boot profile or a boot image and is none, or is damaged. */
export class BootFormatError extends Error {
  override readonly name = "BootFormatError";
}

/** Longest varint that a number holds exactly: 53 bits. */
const varintBytesMax = 8;

/** Reads a file's fields in order, never past its end; integers are little-endian. */
export class ByteReader {
  readonly #bytes: Buffer;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get leftBytes(): number {
    return this.#bytes.length - this.#offset;
  }

  u32(): number {
    return this.take(4).readUInt32LE(0);
  }

  u64(): number {
    const value = Number(this.take(8).readBigUInt64LE(0));
    if (!Number.isSafeInteger(value)) throw new BootFormatError("a number in it is out of all bounds");
    return value;
  }

  varint(): number {
    let value = 0;
    let factor = 1;
    for (let count = 0; count < varintBytesMax; count++) {
      const byte = this.take(1)[0] as number;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) {
        if (!Number.isSafeInteger(value)) break;
        return value;
      }
      factor *= 0x80;
    }
    throw new BootFormatError("a number in it is out of all bounds");
  }

  /** The next bytes, not copied. */
  take(length: number): Buffer {
    if (length > this.leftBytes) throw new BootFormatError("it is cut off");
    this.#offset += length;
    return this.#bytes.subarray(this.#offset - length, this.#offset);
  }
}
