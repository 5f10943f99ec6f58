import { ownBytesMin, unsentBytesMax } from "./limits.ts";
import { dataChunkHeadBytes, nbdError, simpleReplyBytes } from "./protocol.ts";
import type { ReplyBuffers } from "./reply-buffers.ts";
import { type NbdRequest, writeDataChunk, writeSimpleReply } from "./request-codec.ts";

/** The connection's socket, as far as replies go. */
export interface Outlet {
  /** Sends bytes, which must stay as they are until `sent` is called, whatever becomes of them. */
  write(bytes: Buffer, sent: () => void): void;
  /** What is written until the end of this turn of the event loop goes together. */
  gather(): void;
  pause(): void;
  resume(): void;
  /** The client has taken its leave and has all of its replies. */
  end(): void;
}

export interface RepliesOptions {
  outlet: Outlet;
  buffers: ReplyBuffers;
  /** Whether data goes in chunks, each with its offset; otherwise one head goes before all of a request's data. */
  structured: boolean;
  /** Told whenever some have been sent: there may be memory for more. */
  onSent: () => void;
}

/** One connection's replies on their way out: small ones are put together in a slab, and all that is not sent is counted. */
export class Replies {
  readonly #options: RepliesOptions;
  /** Bytes before the data of each reply. */
  readonly headBytes: number;
  /** Of buffers that are read into from this machine's disk, or not sent. */
  #heldBytes = 0;
  /** The small replies of one pump, sent together. */
  #slab: Buffer | undefined;
  #slabBytes = 0;

  constructor(options: RepliesOptions) {
    this.#options = options;
    this.headBytes = options.structured ? dataChunkHeadBytes : simpleReplyBytes;
  }

  /** Whether nothing is held, but for what is in the slab. */
  get isEmpty(): boolean {
    return this.#heldBytes === 0;
  }

  /** Whether there is memory for so much more; for one reply there always is. */
  hasRoom(bytes: number): boolean {
    const held = this.#heldBytes + (this.#slab?.length ?? 0);
    return held === 0 || held + bytes <= unsentBytesMax;
  }

  /** Counts memory that is read into. */
  hold(bytes: number): void {
    this.#heldBytes += bytes;
  }

  letGo(bytes: number): void {
    this.#heldBytes -= bytes;
  }

  /** Writes the head of a reply with data; where the data goes. */
  writeHead(target: Buffer, at: number, request: NbdRequest, offset: number, length: number, done: boolean): number {
    return this.#options.structured
      ? writeDataChunk(target, at, request, offset, length, done)
      : writeSimpleReply(target, at, request, nbdError.none);
  }

  /** The slab, if a reply of so many bytes goes into it still. */
  slabFor(bytes: number): Buffer | undefined {
    return this.#slab && this.#slab.length - this.#slabBytes >= bytes ? this.#slab : undefined;
  }

  /** A slab of so many bytes, once the last is on its way. */
  newSlab(bytes: number): Buffer {
    this.flush();
    this.#slab = this.#options.buffers.take(bytes);
    this.#slabBytes = 0;
    return this.#slab;
  }

  /** How far the slab is filled. */
  get slabBytes(): number {
    return this.#slabBytes;
  }

  /** What has been written to the slab up to here is a reply. */
  fillTo(slabBytes: number): void {
    this.#slabBytes = slabBytes;
  }

  /** Sends what is in the slab. */
  flush(): void {
    const slab = this.#slab;
    this.#slab = undefined;
    if (slab && this.#slabBytes > 0) this.send(slab, this.#slabBytes);
    else if (slab) this.#options.buffers.release(slab);
  }

  /** What is sent until the end of this turn goes together. */
  gather(): void {
    this.#options.outlet.gather();
  }

  /** Sends what is in a buffer from the pool, which gets it back, unless `sent` is there to be called instead. */
  send(buffer: Buffer, bytes: number, sent?: () => void): void {
    const { outlet, buffers, onSent } = this.#options;
    this.#heldBytes += buffer.length;
    outlet.write(buffer.subarray(0, bytes), () => {
      this.#heldBytes -= buffer.length;
      if (sent) sent();
      else buffers.release(buffer);
      onSent();
    });
  }

  /** Sends a small message that has memory of its own. */
  sendOwn(bytes: Buffer): void {
    const { outlet, onSent } = this.#options;
    const heldBytes = Math.max(bytes.length, ownBytesMin);
    this.#heldBytes += heldBytes;
    outlet.write(bytes, () => {
      this.#heldBytes -= heldBytes;
      onSent();
    });
  }
}
