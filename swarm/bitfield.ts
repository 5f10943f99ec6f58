/** A set of piece indices, in the layout of the wire's bitfield message (BEP 3): the high bit of byte 0 is piece 0. */
export class Bitfield {
  readonly size: number;
  readonly bytes: Uint8Array;
  #count = 0;

  constructor(size: number) {
    this.size = size;
    this.bytes = new Uint8Array(Math.ceil(size / 8));
  }

  /** @throws Error if the length does not fit `size`, or a spare bit is set. */
  static fromBytes(bytes: Uint8Array, size: number): Bitfield {
    const field = new Bitfield(size);
    if (bytes.length !== field.bytes.length) {
      throw new Error(`a bitfield of ${bytes.length} bytes does not fit ${size} pieces`);
    }
    const spareBits = bytes.length * 8 - size;
    if (spareBits > 0 && (bytes[bytes.length - 1]! & ((1 << spareBits) - 1)) !== 0) {
      throw new Error("a bitfield has spare bits set");
    }
    field.bytes.set(bytes);
    for (const byte of bytes) field.#count += bitsOf(byte);
    return field;
  }

  static full(size: number): Bitfield {
    const field = new Bitfield(size);
    field.fill();
    return field;
  }

  /** How many indices are in the set. */
  get count(): number {
    return this.#count;
  }

  get isFull(): boolean {
    return this.#count === this.size;
  }

  has(index: number): boolean {
    return (this.bytes[index >> 3]! & (0x80 >> (index & 7))) !== 0;
  }

  /** Adds an index; false if it was there. */
  add(index: number): boolean {
    if (this.has(index)) return false;
    this.bytes[index >> 3]! |= 0x80 >> (index & 7);
    this.#count++;
    return true;
  }

  /** Takes an index out; false if it was not there. */
  remove(index: number): boolean {
    if (!this.has(index)) return false;
    this.bytes[index >> 3]! &= ~(0x80 >> (index & 7));
    this.#count--;
    return true;
  }

  /** Which indices another set of the same size has and this one lacks, and the other way round. */
  changesTo(other: Bitfield): { added: number[]; removed: number[] } {
    const added: number[] = [];
    const removed: number[] = [];
    for (let at = 0; at < this.bytes.length; at++) {
      if (this.bytes[at] === other.bytes[at]) continue;
      for (let index = at * 8; index < Math.min(this.size, at * 8 + 8); index++) {
        if (this.has(index) !== other.has(index)) (other.has(index) ? added : removed).push(index);
      }
    }
    return { added, removed };
  }

  fill(): void {
    this.bytes.fill(0xff);
    const spareBits = this.bytes.length * 8 - this.size;
    if (spareBits > 0) this.bytes[this.bytes.length - 1] = 0xff & ~((1 << spareBits) - 1);
    this.#count = this.size;
  }
}

function bitsOf(byte: number): number {
  let bits = 0;
  for (let rest = byte; rest !== 0; rest &= rest - 1) bits++;
  return bits;
}
