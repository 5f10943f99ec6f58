/**
 * The peer wire protocol's codec (BEP 3, with the fast extension of BEP 6 and the extension protocol of BEP 10), pure:
 * bytes in, messages out, and back. Every length is compared with its bound before anything is allocated. A block's
 * bytes are copied once, from the received chunk to where the piece is assembled.
 */
import { blockBytesMax, controlMessageBytesMax } from "./limits.ts";

export const handshakeBytes = 68;
/** Length of what goes before a block's bytes. */
export const pieceHeadBytes = 13;
/** What a piece message's length counts besides the block's bytes. */
const pieceBodyBytes = 9;
const protocolName = Buffer.from("\x13BitTorrent protocol", "latin1");

export interface Handshake {
  /** 40 lower-case hex digits. */
  infohash: string;
  /** 20 bytes. */
  peerId: Buffer;
  /** BEP 6. */
  fast: boolean;
  /** BEP 10. */
  extended: boolean;
}

export const messageIds = {
  choke: 0,
  unchoke: 1,
  interested: 2,
  notInterested: 3,
  have: 4,
  bitfield: 5,
  request: 6,
  piece: 7,
  cancel: 8,
  port: 9,
  suggest: 13,
  haveAll: 14,
  haveNone: 15,
  reject: 16,
  allowedFast: 17,
  extended: 20,
} as const;

/** A byte range within a piece: what request, cancel and reject speak of. */
export interface Block {
  index: number;
  begin: number;
  length: number;
}

/** All messages but piece, whose bytes go their own way. */
export type WireMessage =
  | { type: "keepAlive" | "choke" | "unchoke" | "interested" | "notInterested" | "haveAll" | "haveNone" }
  | { type: "have" | "suggest"; index: number }
  | { type: "bitfield"; bytes: Uint8Array }
  | ({ type: "request" | "cancel" | "reject" } & Block)
  /** `id` is the extended message's id as agreed in the handshake (0: the handshake itself). */
  | { type: "extended"; id: number; payload: Uint8Array };

/** Thrown by the decoder; the connection cannot go on. */
export class WireError extends Error {}

export interface WireSink {
  onHandshake(handshake: Handshake): void;
  onMessage(message: WireMessage): void;
  /** A block begins to arrive. Its bytes are copied to what this returns (`length` bytes), or dropped. */
  onBlockStart(index: number, begin: number, length: number): Uint8Array | undefined;
  /** The block is complete; `kept` says whether its bytes were copied to the end. */
  onBlockEnd(index: number, begin: number, length: number, kept: boolean): void;
}

interface ArrivingBlock extends Block {
  target: Uint8Array | undefined;
  filled: number;
}

/** Decodes one connection's inbound bytes: a handshake, then messages. */
export class WireDecoder {
  readonly #sink: WireSink;
  #greeted = false;
  #stopped = false;
  /** The head of what is being read: the handshake, or a message's length, id and, for a piece, index and begin. */
  // Not from Node's pool: for these few bytes, a connection would keep a slab of 8 KiB alive.
  readonly #head = Buffer.allocUnsafeSlow(handshakeBytes);
  #headFilled = 0;
  #body: { id: number; bytes: Buffer; filled: number } | undefined;
  #block: ArrivingBlock | undefined;
  /** Largest bitfield taken, in bytes; the owner narrows it once the torrent's size is known. */
  bitfieldBytesMax: number;

  constructor(sink: WireSink, options: { bitfieldBytesMax: number }) {
    this.#sink = sink;
    this.bitfieldBytesMax = options.bitfieldBytesMax;
  }

  /** The block that is arriving now, if any. */
  get arriving(): Block | undefined {
    return this.#block;
  }

  /** The rest of the arriving block is read and dropped: its place is no longer ours to write to. */
  dropArriving(): void {
    if (this.#block) this.#block.target = undefined;
  }

  /** Nothing is told any more, not even the rest of the chunk at hand: the connection is over. */
  stop(): void {
    this.#stopped = true;
  }

  /** @throws WireError if the bytes are not what the protocol allows. */
  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length && !this.#stopped) {
      if (this.#block) at = this.#readBlock(this.#block, chunk, at);
      else if (this.#body) at = this.#readBody(this.#body, chunk, at);
      else at = this.#readHead(chunk, at);
    }
  }

  #readHead(chunk: Buffer, start: number): number {
    if (!this.#greeted) {
      const at = this.#fillHead(chunk, start, handshakeBytes);
      this.#checkGreeting();
      if (this.#headFilled === handshakeBytes) this.#endHandshake();
      return at;
    }
    const available = chunk.length - start;
    if (this.#headFilled > 0 || available < 5) return this.#gatherHead(chunk, start);
    // Nearly all heads arrive whole: they are read in place.
    const length = uint32At(chunk, start);
    if (length === 0) return this.#endKeepAlive(start + 4);
    const id = chunk[start + 4]!;
    if (id !== messageIds.piece) return this.#readMessage(id, length - 1, chunk, start + 5);
    if (available < pieceHeadBytes) return this.#gatherHead(chunk, start);
    this.#startBlock(length, uint32At(chunk, start + 5), uint32At(chunk, start + 9));
    return start + pieceHeadBytes;
  }

  /** Reads the head of a message that comes in parts. */
  #gatherHead(chunk: Buffer, start: number): number {
    let at = this.#fillHead(chunk, start, 4);
    if (this.#headFilled < 4) return at;
    const length = uint32At(this.#head, 0);
    if (length === 0) return this.#endKeepAlive(at);
    at = this.#fillHead(chunk, at, 5);
    if (this.#headFilled < 5) return at;
    const id = this.#head[4]!;
    if (id !== messageIds.piece) return this.#readMessage(id, length - 1, chunk, at);
    checkBlockLength(length - pieceBodyBytes);
    at = this.#fillHead(chunk, at, pieceHeadBytes);
    if (this.#headFilled < pieceHeadBytes) return at;
    this.#startBlock(length, uint32At(this.#head, 5), uint32At(this.#head, 9));
    return at;
  }

  #endKeepAlive(at: number): number {
    this.#headFilled = 0;
    this.#sink.onMessage({ type: "keepAlive" });
    return at;
  }

  #readMessage(id: number, bytes: number, chunk: Buffer, at: number): number {
    const bytesMax = id === messageIds.bitfield ? this.bitfieldBytesMax : controlMessageBytesMax;
    if (bytes > bytesMax) throw new WireError(`message ${id} of ${bytes} bytes is larger than ${bytesMax}`);
    this.#headFilled = 0;
    if (chunk.length - at >= bytes) {
      this.#dispatch(id, chunk, at, bytes);
      return at + bytes;
    }
    this.#body = { id, bytes: Buffer.allocUnsafe(bytes), filled: 0 };
    return at;
  }

  #startBlock(messageLength: number, index: number, begin: number): void {
    const length = messageLength - pieceBodyBytes;
    checkBlockLength(length);
    this.#headFilled = 0;
    this.#block = { index, begin, length, target: this.#sink.onBlockStart(index, begin, length), filled: 0 };
  }

  #readBlock(block: ArrivingBlock, chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + block.length - block.filled);
    if (block.target) chunk.copy(block.target, block.filled, at, end);
    block.filled += end - at;
    if (block.filled === block.length) {
      this.#block = undefined;
      this.#sink.onBlockEnd(block.index, block.begin, block.length, block.target !== undefined);
    }
    return end;
  }

  #readBody(body: { id: number; bytes: Buffer; filled: number }, chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + body.bytes.length - body.filled);
    chunk.copy(body.bytes, body.filled, at, end);
    body.filled += end - at;
    if (body.filled === body.bytes.length) {
      this.#body = undefined;
      this.#dispatch(body.id, body.bytes, 0, body.bytes.length);
    }
    return end;
  }

  #fillHead(chunk: Buffer, at: number, upTo: number): number {
    const end = Math.min(chunk.length, at + Math.max(0, upTo - this.#headFilled));
    chunk.copy(this.#head, this.#headFilled, at, end);
    this.#headFilled += end - at;
    return end;
  }

  /** A stranger is turned away at its first wrong byte, not after 68. */
  #checkGreeting(): void {
    const seen = Math.min(this.#headFilled, protocolName.length);
    if (this.#head.compare(protocolName, 0, seen, 0, seen) !== 0) {
      throw new WireError("this is no BitTorrent handshake, or an encrypted one, which is not spoken here");
    }
  }

  #endHandshake(): void {
    this.#headFilled = 0;
    this.#greeted = true;
    this.#sink.onHandshake({
      infohash: this.#head.toString("hex", 28, 48),
      peerId: Buffer.from(this.#head.subarray(48, 68)),
      fast: (this.#head[27]! & 0x04) !== 0,
      extended: (this.#head[25]! & 0x10) !== 0,
    });
  }

  #dispatch(id: number, bytes: Uint8Array, at: number, length: number): void {
    const message = messageFrom(id, bytes, at, length);
    if (message) this.#sink.onMessage(message);
  }
}

/** A message from its id and its body, `length` bytes from `at` on; undefined for those we have no use for. */
function messageFrom(id: number, bytes: Uint8Array, at: number, length: number): WireMessage | undefined {
  switch (id) {
    case messageIds.choke:
      return empty(length, { type: "choke" });
    case messageIds.unchoke:
      return empty(length, { type: "unchoke" });
    case messageIds.interested:
      return empty(length, { type: "interested" });
    case messageIds.notInterested:
      return empty(length, { type: "notInterested" });
    case messageIds.haveAll:
      return empty(length, { type: "haveAll" });
    case messageIds.haveNone:
      return empty(length, { type: "haveNone" });
    case messageIds.have:
      requireLength(length, 4);
      return { type: "have", index: uint32At(bytes, at) };
    case messageIds.suggest:
      requireLength(length, 4);
      return { type: "suggest", index: uint32At(bytes, at) };
    case messageIds.bitfield:
      return { type: "bitfield", bytes: Uint8Array.from(bytes.subarray(at, at + length)) };
    case messageIds.request:
      return { type: "request", ...blockFrom(bytes, at, length) };
    case messageIds.cancel:
      return { type: "cancel", ...blockFrom(bytes, at, length) };
    case messageIds.reject:
      return { type: "reject", ...blockFrom(bytes, at, length) };
    case messageIds.extended:
      if (length === 0) throw new WireError("an extended message has no id");
      return { type: "extended", id: bytes[at]!, payload: Uint8Array.from(bytes.subarray(at + 1, at + length)) };
    default:
      // port, allowed fast, and what other clients may add: no harm, no use.
      return undefined;
  }
}

function empty<Message extends WireMessage>(length: number, message: Message): Message {
  requireLength(length, 0);
  return message;
}

function blockFrom(bytes: Uint8Array, at: number, length: number): Block {
  requireLength(length, 12);
  return { index: uint32At(bytes, at), begin: uint32At(bytes, at + 4), length: uint32At(bytes, at + 8) };
}

function requireLength(length: number, wanted: number): void {
  if (length !== wanted) throw new WireError(`a message body of ${length} bytes must have ${wanted}`);
}

function checkBlockLength(length: number): void {
  if (length > 0 && length <= blockBytesMax) return;
  throw new WireError(`a block of ${length} bytes is not between 1 and ${blockBytesMax}`);
}

/** Big-endian, as all of the wire's numbers. */
function uint32At(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

/** Our 68 bytes of greeting. `infohash` is 40 hex digits, `peerId` 20 bytes. */
export function encodeHandshake(infohash: string, peerId: Uint8Array): Buffer {
  const bytes = Buffer.alloc(handshakeBytes);
  protocolName.copy(bytes);
  bytes[25] = 0x10;
  bytes[27] = 0x04;
  bytes.write(infohash, 28, "hex");
  bytes.set(peerId, 48);
  return bytes;
}

/** Length of a have or suggest. */
export const pieceMessageBytes = 9;

/** Length of a request, cancel or reject. */
const blockMessageBytes = 17;

export const keepAlive: Buffer = Buffer.alloc(4);

/** A message without a body. */
export function encodeSignal(
  type: "choke" | "unchoke" | "interested" | "notInterested" | "haveAll" | "haveNone",
): Buffer {
  return withHead(messageIds[type], 0);
}

/** One message for each of the pieces: that they are here, or that the peer might ask for them. */
export function encodePieceMessages(type: "have" | "suggest", indices: readonly number[]): Buffer {
  const bytes = Buffer.allocUnsafe(indices.length * pieceMessageBytes);
  indices.forEach((index, place) => {
    const at = place * pieceMessageBytes;
    bytes.writeUInt32BE(pieceMessageBytes - 4, at);
    bytes[at + 4] = messageIds[type];
    bytes.writeUInt32BE(index, at + 5);
  });
  return bytes;
}

export function encodeBitfield(field: Uint8Array): Buffer {
  const bytes = withHead(messageIds.bitfield, field.length);
  bytes.set(field, 5);
  return bytes;
}

/** One message for each of the blocks. */
export function encodeBlockMessages(type: "request" | "cancel" | "reject", blocks: readonly Block[]): Buffer {
  const bytes = Buffer.allocUnsafe(blocks.length * blockMessageBytes);
  let at = 0;
  for (const { index, begin, length } of blocks) {
    bytes.writeUInt32BE(blockMessageBytes - 4, at);
    bytes[at + 4] = messageIds[type];
    bytes.writeUInt32BE(index, at + 5);
    bytes.writeUInt32BE(begin, at + 9);
    bytes.writeUInt32BE(length, at + 13);
    at += blockMessageBytes;
  }
  return bytes;
}

/** Writes what goes before a block's bytes. */
export function writePieceHead(target: Buffer, at: number, block: Block): void {
  target.writeUInt32BE(9 + block.length, at);
  target[at + 4] = messageIds.piece;
  target.writeUInt32BE(block.index, at + 5);
  target.writeUInt32BE(block.begin, at + 9);
}

export function encodeExtended(id: number, payload: Uint8Array): Buffer {
  const bytes = withHead(messageIds.extended, 1 + payload.length);
  bytes[5] = id;
  bytes.set(payload, 6);
  return bytes;
}

function withHead(id: number, bodyBytes: number): Buffer {
  const bytes = Buffer.allocUnsafe(5 + bodyBytes);
  bytes.writeUInt32BE(1 + bodyBytes, 0);
  bytes[4] = id;
  return bytes;
}
