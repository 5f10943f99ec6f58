/** Codec of the transmission phase: requests and the replies to them. Pure; replies are written into memory that is given. */
import type { Extent } from "../disk.ts";
import {
  baseAllocationId,
  chunk,
  chunkFlagDone,
  chunkHeadBytes,
  NbdProtocolError,
  requestBytes,
  requestMagic,
  simpleReplyBytes,
  simpleReplyMagic,
  stateFlag,
  structuredReplyMagic,
} from "./protocol.ts";

/** A request without its data. */
export interface NbdRequest {
  flags: number;
  type: number;
  /** The client's name for it, given back with the reply: 64 bits as two halves. */
  cookieHigh: number;
  cookieLow: number;
  /** Beyond 2^53 it is not exact, but beyond every disk. */
  offset: number;
  length: number;
}

/**
 * Reads the request at a position where all of its bytes are.
 *
 * @throws NbdProtocolError if its magic is wrong
 */
export function decodeRequest(bytes: Buffer, position: number): NbdRequest {
  const magic = bytes.readUInt32BE(position);
  if (magic !== requestMagic) throw new NbdProtocolError(`a request began with 0x${magic.toString(16)}`);
  return {
    flags: bytes.readUInt16BE(position + 4),
    type: bytes.readUInt16BE(position + 6),
    cookieHigh: bytes.readUInt32BE(position + 8),
    cookieLow: bytes.readUInt32BE(position + 12),
    offset: bytes.readUInt32BE(position + 16) * 2 ** 32 + bytes.readUInt32BE(position + 20),
    length: bytes.readUInt32BE(position + 24),
  };
}

/** The other direction, for tests and benchmarks. */
export function encodeRequest(request: NbdRequest): Buffer {
  const bytes = Buffer.alloc(requestBytes);
  bytes.writeUInt32BE(requestMagic, 0);
  bytes.writeUInt16BE(request.flags, 4);
  bytes.writeUInt16BE(request.type, 6);
  bytes.writeUInt32BE(request.cookieHigh, 8);
  bytes.writeUInt32BE(request.cookieLow, 12);
  bytes.writeBigUInt64BE(BigInt(request.offset), 16);
  bytes.writeUInt32BE(request.length, 24);
  return bytes;
}

/** Writes a simple reply's head; returns where its data goes. */
export function writeSimpleReply(target: Buffer, at: number, request: NbdRequest, error: number): number {
  writeUInt32(target, at, simpleReplyMagic);
  writeUInt32(target, at + 4, error);
  writeUInt32(target, at + 8, request.cookieHigh);
  writeUInt32(target, at + 12, request.cookieLow);
  return at + simpleReplyBytes;
}

/** Writes a chunk's head, for `length` bytes that follow; returns where they go. */
export function writeChunk(
  target: Buffer,
  at: number,
  request: NbdRequest,
  type: number,
  length: number,
  done: boolean,
): number {
  writeUInt32(target, at, structuredReplyMagic);
  writeUInt32(target, at + 4, (done ? chunkFlagDone : 0) * 2 ** 16 + type);
  writeUInt32(target, at + 8, request.cookieHigh);
  writeUInt32(target, at + 12, request.cookieLow);
  writeUInt32(target, at + 16, length);
  return at + chunkHeadBytes;
}

/** Writes the head of a chunk with data of the disk; returns where `length` bytes of it go. */
export function writeDataChunk(
  target: Buffer,
  at: number,
  request: NbdRequest,
  offset: number,
  length: number,
  done: boolean,
): number {
  const body = writeChunk(target, at, request, chunk.offsetData, length + 8, done);
  return writeOffset(target, body, offset);
}

/** A chunk that says that a range is a hole. */
export function encodeHoleChunk(request: NbdRequest, offset: number, length: number, done: boolean): Buffer {
  const bytes = Buffer.alloc(chunkHeadBytes + 12);
  const body = writeChunk(bytes, 0, request, chunk.offsetHole, 12, done);
  bytes.writeUInt32BE(length, writeOffset(bytes, body, offset));
  return bytes;
}

/** A chunk that says that a request failed, with a sentence for people; at an offset, where that is known. */
export function encodeErrorChunk(
  request: NbdRequest,
  error: number,
  message: string,
  done: boolean,
  offset?: number,
): Buffer {
  const text = Buffer.from(message).subarray(0, 1_024);
  const length = 6 + text.length + (offset === undefined ? 0 : 8);
  const bytes = Buffer.alloc(chunkHeadBytes + length);
  const type = offset === undefined ? chunk.error : chunk.errorOffset;
  const body = writeChunk(bytes, 0, request, type, length, done);
  bytes.writeUInt32BE(error, body);
  bytes.writeUInt16BE(text.length, body + 4);
  bytes.set(text, body + 6);
  if (offset !== undefined) writeOffset(bytes, body + 6 + text.length, offset);
  return bytes;
}

/** The answer about holes, as base:allocation has it. */
export function encodeBlockStatus(request: NbdRequest, extents: readonly Extent[]): Buffer {
  const length = 4 + 8 * extents.length;
  const bytes = Buffer.alloc(chunkHeadBytes + length);
  let at = writeChunk(bytes, 0, request, chunk.blockStatus, length, true);
  at = bytes.writeUInt32BE(baseAllocationId, at);
  for (const extent of extents) {
    at = bytes.writeUInt32BE(extent.length, at);
    at = bytes.writeUInt32BE(extent.hole ? stateFlag.hole | stateFlag.zero : 0, at);
  }
  return bytes;
}

function writeOffset(target: Buffer, at: number, offset: number): number {
  writeUInt32(target, at, Math.floor(offset / 2 ** 32));
  writeUInt32(target, at + 4, offset % 2 ** 32);
  return at + 8;
}

/** What Buffer.writeUInt32BE does, without its checks: replies are written hundreds of thousands of times a second. */
function writeUInt32(target: Buffer, at: number, value: number): void {
  target[at] = value >>> 24;
  target[at + 1] = value >>> 16;
  target[at + 2] = value >>> 8;
  target[at + 3] = value;
}
