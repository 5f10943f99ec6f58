/** Collects a file's fields; integers are little-endian. */
export class ByteWriter {
  readonly #parts: Uint8Array[] = [];
  #pending: number[] = [];

  u32(value: number): this {
    for (let shift = 0; shift < 32; shift += 8) this.#pending.push((value >>> shift) & 0xff);
    return this;
  }

  /** An integer of 64 bits that fits a number. */
  u64(value: number): this {
    return this.u32(value % 2 ** 32).u32(Math.floor(value / 2 ** 32));
  }

  /** LEB128. */
  varint(value: number): this {
    let rest = value;
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) this.#pending.push((rest % 0x80) | 0x80);
    this.#pending.push(rest);
    return this;
  }

  bytes(bytes: Uint8Array): this {
    this.#flush();
    this.#parts.push(bytes);
    return this;
  }

  finish(): Buffer {
    this.#flush();
    return Buffer.concat(this.#parts);
  }

  #flush(): void {
    if (this.#pending.length === 0) return;
    this.#parts.push(Uint8Array.from(this.#pending));
    this.#pending = [];
  }
}
