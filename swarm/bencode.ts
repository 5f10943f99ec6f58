/**
 * Bencode (BEP 3) that others wrote, read strictly and within bounds: linear in the bytes, never anything but an Error.
 *
 * The bencode library writes what we send, but reads nothing from outside: it takes negative lengths ("l-3:" makes it go
 * back and read on for ever), lengths beyond the end, any nesting, and a key "__proto__" for the object's prototype.
 */

/** Lists and dictionaries within one another: a torrent's deepest are the folders of a v2 file tree. */
const depthMax = 32;

/** Values in all, of which each costs far more memory than the two bytes that it may take on the wire. */
const valuesMaxDefault = 10_000;

/** Digits of a number: those of 64 bits without sign. */
const digitsMax = 20;

const integerStart = 0x69; // i
const listStart = 0x6c; // l
const dictionaryStart = 0x64; // d
const end = 0x65; // e
const colon = 0x3a;
const minus = 0x2d;
const zero = 0x30;

/** Integers beyond 2^53 are rounded (still beyond it); byte strings are views of the bytes read. */
export type BencodeValue = number | Uint8Array | BencodeValue[] | BencodeDictionary;

/** Keys are as Latin-1, one character a byte, so that no two become one. It has no prototype. */
export interface BencodeDictionary {
  [key: string]: BencodeValue | undefined;
}

export interface BencodeLimits {
  valuesMax?: number;
}

/** The one value that `bytes` are. @throws Error if they are none, more than one, or beyond limits. */
export function decodeBencode(bytes: Uint8Array, limits: BencodeLimits = {}): BencodeValue {
  const reader = new BencodeReader(bytes, limits);
  const value = reader.value(0);
  if (reader.position !== bytes.length) throw new Error(`bencode ends at byte ${reader.position} of ${bytes.length}`);
  return value;
}

/** The value that `bytes` begin with, whatever follows it. @throws Error if there is none, or it is beyond limits. */
export function decodeBencodeHead(bytes: Uint8Array, limits: BencodeLimits = {}): BencodeValue {
  return new BencodeReader(bytes, limits).value(0);
}

export function isDictionary(value: BencodeValue | undefined): value is BencodeDictionary {
  return typeof value === "object" && !Array.isArray(value) && !(value instanceof Uint8Array);
}

class BencodeReader {
  readonly #bytes: Uint8Array;
  readonly #valuesMax: number;
  #values = 0;
  position = 0;

  constructor(bytes: Uint8Array, limits: BencodeLimits) {
    this.#bytes = bytes;
    this.#valuesMax = limits.valuesMax ?? valuesMaxDefault;
  }

  value(depth: number): BencodeValue {
    if (++this.#values > this.#valuesMax) throw new Error(`bencode of more than ${this.#valuesMax} values`);
    if (depth > depthMax) throw new Error(`bencode nested deeper than ${depthMax}`);
    switch (this.#bytes[this.position]) {
      case integerStart:
        this.position++;
        return this.#integer();
      case listStart:
        this.position++;
        return this.#list(depth);
      case dictionaryStart:
        this.position++;
        return this.#dictionary(depth);
      default:
        return this.#byteString();
    }
  }

  #list(depth: number): BencodeValue[] {
    const list: BencodeValue[] = [];
    while (!this.#skip(end)) list.push(this.value(depth + 1));
    return list;
  }

  /** Keys out of order are taken, as other clients do; the same key twice is not, as they differ in which they take. */
  #dictionary(depth: number): BencodeDictionary {
    const dictionary: BencodeDictionary = Object.create(null);
    while (!this.#skip(end)) {
      const { buffer, byteOffset, byteLength } = this.#byteString();
      const key = Buffer.from(buffer, byteOffset, byteLength).toString("latin1");
      if (key in dictionary) throw this.#malformed("a key is there twice");
      dictionary[key] = this.value(depth + 1);
    }
    return dictionary;
  }

  #integer(): number {
    const negative = this.#skip(minus);
    const value = this.#digitsUntil(end);
    if (negative && value === 0) throw this.#malformed("a zero has a sign");
    return negative ? -value : value;
  }

  #byteString(): Uint8Array<ArrayBufferLike> {
    const length = this.#digitsUntil(colon);
    const start = this.position;
    if (length > this.#bytes.length - start) throw this.#malformed(`${length} bytes are not there`);
    this.position = start + length;
    return new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + start, length);
  }

  #digitsUntil(delimiter: number): number {
    const start = this.position;
    let value = 0;
    while (!this.#skip(delimiter)) {
      const digit = (this.#bytes[this.position] ?? 0) - zero;
      if (digit < 0 || digit > 9 || this.position - start >= digitsMax) throw this.#malformed("not a number");
      value = value * 10 + digit;
      this.position++;
    }
    const digits = this.position - 1 - start;
    if (digits === 0 || (digits > 1 && this.#bytes[start] === zero)) throw this.#malformed("not a number");
    return value;
  }

  #skip(byte: number): boolean {
    if (this.#bytes[this.position] !== byte) return false;
    this.position++;
    return true;
  }

  #malformed(what: string): Error {
    return new Error(`malformed bencode at byte ${this.position}: ${what}`);
  }
}
