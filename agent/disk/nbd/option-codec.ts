/**
 * Codec of the handshake: options and the replies to them. Pure; whoever collects the bytes has bounded an option's data
 * by `optionBytesMax` before a byte of it was kept.
 */
import { metaQueriesMax, stringBytesMax } from "./limits.ts";
import {
  baseAllocation,
  type baseAllocationId,
  handshakeFlag,
  info,
  nbdMagic,
  optionMagic,
  optionReplyMagic,
} from "./protocol.ts";

/** Of an option: magic, number, length of the data. */
export const optionHeadBytes = 16;

/** The server's first word. */
export function encodeGreeting(): Buffer {
  const bytes = Buffer.alloc(18);
  bytes.writeBigUInt64BE(nbdMagic, 0);
  bytes.writeBigUInt64BE(optionMagic, 8);
  bytes.writeUInt16BE(handshakeFlag.fixedNewstyle | handshakeFlag.noZeroes, 16);
  return bytes;
}

export function encodeOptionReply(option: number, type: number, data: Uint8Array = new Uint8Array()): Buffer {
  const bytes = Buffer.alloc(20 + data.length);
  bytes.writeBigUInt64BE(optionReplyMagic, 0);
  bytes.writeUInt32BE(option, 8);
  bytes.writeUInt32BE(type, 12);
  bytes.writeUInt32BE(data.length, 16);
  bytes.set(data, 20);
  return bytes;
}

/** An error of an option, with a sentence for people. */
export function encodeOptionError(option: number, type: number, message: string): Buffer {
  return encodeOptionReply(option, type, Buffer.from(message).subarray(0, stringBytesMax));
}

/** The answer to NBD_OPT_EXPORT_NAME, the only one without a head. */
export function encodeExportNameReply(sizeBytes: number, flags: number, zeroes: boolean): Buffer {
  const bytes = Buffer.alloc(zeroes ? 134 : 10);
  bytes.writeBigUInt64BE(BigInt(sizeBytes), 0);
  bytes.writeUInt16BE(flags, 8);
  return bytes;
}

export function encodeInfoExport(sizeBytes: number, flags: number): Buffer {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt16BE(info.export, 0);
  bytes.writeBigUInt64BE(BigInt(sizeBytes), 2);
  bytes.writeUInt16BE(flags, 10);
  return bytes;
}

export function encodeInfoText(type: number, text: string): Buffer {
  const head = Buffer.alloc(2);
  head.writeUInt16BE(type, 0);
  return Buffer.concat([head, Buffer.from(text).subarray(0, stringBytesMax)]);
}

export function encodeInfoBlockSize(minimum: number, preferred: number, maximum: number): Buffer {
  const bytes = Buffer.alloc(14);
  bytes.writeUInt16BE(info.blockSize, 0);
  bytes.writeUInt32BE(minimum, 2);
  bytes.writeUInt32BE(preferred, 6);
  bytes.writeUInt32BE(maximum, 10);
  return bytes;
}

/** An export in the answer to NBD_OPT_LIST. */
export function encodeListed(name: string): Buffer {
  const bytes = Buffer.from(name);
  const head = Buffer.alloc(4);
  head.writeUInt32BE(bytes.length, 0);
  return Buffer.concat([head, bytes]);
}

/** @param id 0 in a list, the context's number once it is set */
export function encodeMetaContext(id: 0 | typeof baseAllocationId): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(id, 0);
  return Buffer.concat([head, Buffer.from(baseAllocation)]);
}

/** Which export NBD_OPT_GO or NBD_OPT_INFO is about, and what the client wants to be told of it; undefined if malformed. */
export function decodeInfoRequest(data: Buffer): { name: string; wanted: Set<number> } | undefined {
  const reader = new Reader(data);
  const name = reader.string();
  const count = reader.uint16();
  if (name === undefined || count === undefined || data.length !== reader.position + 2 * count) return undefined;
  const wanted = new Set<number>();
  for (let index = 0; index < count; index += 1) wanted.add(reader.uint16() as number);
  return { name, wanted };
}

/** Which export an option about metadata contexts means, and what it asks for; undefined if malformed or too much. */
export function decodeMetaRequest(data: Buffer): { name: string; queries: string[] } | undefined {
  const reader = new Reader(data);
  const name = reader.string();
  const count = reader.uint32();
  if (name === undefined || count === undefined || count > metaQueriesMax) return undefined;
  const queries: string[] = [];
  for (let index = 0; index < count; index += 1) {
    const query = reader.string();
    if (query === undefined) return undefined;
    queries.push(query);
  }
  return reader.position === data.length ? { name, queries } : undefined;
}

/** Reads an option's data; undefined once there is too little of it. */
class Reader {
  position = 0;
  readonly #data: Buffer;

  constructor(data: Buffer) {
    this.#data = data;
  }

  uint16(): number | undefined {
    if (this.#data.length - this.position < 2) return undefined;
    this.position += 2;
    return this.#data.readUInt16BE(this.position - 2);
  }

  uint32(): number | undefined {
    if (this.#data.length - this.position < 4) return undefined;
    this.position += 4;
    return this.#data.readUInt32BE(this.position - 4);
  }

  /** A length and so many bytes. */
  string(): string | undefined {
    const length = this.uint32();
    if (length === undefined || length > stringBytesMax || length > this.#data.length - this.position) return undefined;
    this.position += length;
    return this.#data.toString("utf8", this.position - length, this.position);
  }
}
