/**
 * The transmission phase of one connection: requests are queued, begun in order as far as memory allows, and answered in
 * whatever order they come to an end, as the protocol has it.
 *
 * Two ways lead to an answer. What is surely in memory is read at once: small reads that have come together into one buffer
 * behind their heads, and sent by one write; large ones (with structured replies) in chunks that are sent one by one, so that
 * the client copies while we read on, and the buffers stay in the processor's cache. No thread, no promise, no copy. Everything
 * else is read in the background, in larger chunks, and holes are told rather than sent.
 *
 * Memory: `unsentBytesMax` for what is read or not sent yet, `waitingBytesMax` for reads of pieces that are still to come.
 * Small ones count for what they take. Requests beyond that are queued, 28 bytes each on the wire, and past
 * `queuedRequestsMax` nothing more is received. A client that does not take its replies stops itself.
 */
import { setMaxListeners } from "node:events";
import { messageOf } from "../../../daemon/problem.ts";
import type { Agreed, NbdExport } from "./export.ts";
import type { LargeReads } from "./large-reads.ts";
import {
  batchBytesMax,
  chunkBytesMax,
  extentsMax,
  queuedRequestsMax,
  quickBytesMax,
  waitingBytesMax,
} from "./limits.ts";
import { objectionTo } from "./objection.ts";
import { command, commandFlag, dataChunkHeadBytes, nbdError, simpleReplyBytes } from "./protocol.ts";
import { type Outlet, Replies } from "./replies.ts";
import { type ReplyBuffers, smallestBytes } from "./reply-buffers.ts";
import {
  encodeBlockStatus,
  encodeErrorChunk,
  encodeHoleChunk,
  type NbdRequest,
  writeSimpleReply,
} from "./request-codec.ts";
import { RequestReader } from "./request-reader.ts";

/** A read that is answered in several parts. */
interface PartedRead {
  request: NbdRequest;
  begunBytes: number;
  endedBytes: number;
}

export interface Memory {
  buffers: ReplyBuffers;
  largeReads: LargeReads;
}

export class Transmission {
  readonly #export: NbdExport;
  readonly #agreed: Agreed;
  readonly #outlet: Outlet;
  readonly #memory: Memory;
  readonly #replies: Replies;
  readonly #reader = new RequestReader();
  readonly #aborter = new AbortController();
  /** Requests that are not begun; the first may be in part. */
  readonly #queue: NbdRequest[] = [];
  #head = 0;
  #parted: PartedRead | undefined;
  /** Of buffers whose reads wait for pieces. */
  #waitingBytes = 0;
  #underWay = 0;
  #pumping = false;
  #paused = false;
  #leaving = false;

  constructor(chosen: NbdExport, agreed: Agreed, outlet: Outlet, memory: Memory) {
    this.#export = chosen;
    this.#agreed = agreed;
    this.#outlet = outlet;
    this.#memory = memory;
    const { structuredReplies: structured } = agreed;
    this.#replies = new Replies({ outlet, buffers: memory.buffers, structured, onSent: () => this.#pump() });
    // Many reads wait on it side by side.
    setMaxListeners(0, this.#aborter.signal);
  }

  /** @throws NbdProtocolError at a breach: the connection is to be ended */
  receive(chunk: Buffer): void {
    if (this.#leaving) return;
    try {
      this.#reader.read(chunk, (request) => {
        if (request.type === command.disconnect) this.#leaving = true;
        else this.#queue.push(request);
        return !this.#leaving;
      });
    } finally {
      this.#pump();
    }
  }

  /** The connection is gone: what is under way ends by itself, and nobody is told. */
  close(): void {
    this.#leaving = true;
    this.#queue.length = 0;
    this.#head = 0;
    this.#parted = undefined;
    this.#memory.largeReads.forget(this.#pump);
    this.#aborter.abort(new Error("the client is gone"));
  }

  readonly #pump = (): void => {
    if (this.#pumping || this.#aborter.signal.aborted) return;
    this.#pumping = true;
    try {
      while (this.#head < this.#queue.length && this.#begin(this.#queue[this.#head] as NbdRequest)) this.#head += 1;
      this.#replies.flush();
    } finally {
      this.#pumping = false;
    }
    if (this.#head === this.#queue.length) {
      this.#queue.length = 0;
      this.#head = 0;
    } else if (this.#head > queuedRequestsMax) {
      this.#queue.splice(0, this.#head);
      this.#head = 0;
    }
    this.#steer();
  };

  /** Receives more, or no more for now; takes leave when all is done. */
  #steer(): void {
    const queued = this.#queue.length - this.#head;
    if (this.#leaving) {
      if (queued === 0 && this.#underWay === 0 && this.#replies.isEmpty) this.#outlet.end();
    } else if (!this.#paused && queued > queuedRequestsMax) {
      this.#paused = true;
      this.#outlet.pause();
    } else if (this.#paused && queued <= queuedRequestsMax / 2) {
      this.#paused = false;
      this.#outlet.resume();
    }
  }

  /** Begins a request; false if there is no memory for it now. */
  #begin(request: NbdRequest): boolean {
    const error = this.#parted ? undefined : objectionTo(request, this.#export.disk.sizeBytes, this.#agreed);
    if (error) return this.#answer(request, error.code, error.message);
    if (request.type === command.read) return this.#beginRead(request);
    if (request.type === command.blockStatus) return this.#tellStatus(request);
    // FLUSH and CACHE: nothing is ever written, and reads are what they cost.
    return this.#answer(request, nbdError.none, "");
  }

  #beginRead(request: NbdRequest): boolean {
    const { length } = request;
    const whole = this.#parted ? undefined : { request, begunBytes: 0, endedBytes: 0 };
    if (whole && length <= quickBytesMax) {
      if (!this.#replies.hasRoom(length)) return false;
      return this.#readNow(whole, length) || this.#beginPart(whole, length);
    }
    const inParts = this.#agreed.structuredReplies && (request.flags & commandFlag.df) === 0;
    if (inParts) return this.#beginParts(this.#parted ?? (whole as PartedRead));
    return length <= chunkBytesMax ? this.#beginPart(whole as PartedRead, length) : this.#beginLarge(request);
  }

  /** Begins what there is memory for of a large read; false if that is not all of it. */
  #beginParts(parted: PartedRead): boolean {
    this.#parted = parted;
    for (;;) {
      const rest = parted.request.length - parted.begunBytes;
      if (rest === 0) break;
      const [quick, part] = [Math.min(quickBytesMax, rest), Math.min(chunkBytesMax, rest)];
      if (!this.#replies.hasRoom(quick)) return false;
      const isQuick = !isHole(this.#export.disk, parted.request.offset + parted.begunBytes, part);
      if (!(isQuick && this.#readNow(parted, quick)) && !this.#beginPart(parted, part)) return false;
    }
    this.#parted = undefined;
    return true;
  }

  /** Reads the next part into the slab if that can be had at once; false if it has to be waited for. */
  #readNow(parted: PartedRead, length: number): boolean {
    const { request } = parted;
    const offset = request.offset + parted.begunBytes;
    const bytes = this.#replies.headBytes + length;
    const slab = this.#replies.slabFor(bytes) ?? this.#replies.newSlab(this.#batchBytes(bytes));
    const done = parted.endedBytes + length === request.length;
    const body = this.#replies.writeHead(slab, this.#replies.slabBytes, request, offset, length, done);
    // A client that has other reads under way gains more by threads that read side by side.
    const isOnlyOne = this.#underWay === 0 && this.#head + 1 >= this.#queue.length;
    if (!this.#export.disk.preadNow(slab.subarray(body, body + length), offset, isOnlyOne)) return false;
    this.#replies.fillTo(body + length);
    parted.begunBytes += length;
    parted.endedBytes += length;
    this.#count(length, done);
    return true;
  }

  /** Bytes of a slab for a reply of so many: room for those of the small reads behind this one, too. */
  #batchBytes(bytes: number): number {
    let wanted = bytes;
    for (let next = this.#head + 1; next < this.#queue.length; next += 1) {
      const { type, length } = this.#queue[next] as NbdRequest;
      if (type !== command.read) continue;
      if (wanted + dataChunkHeadBytes + length > batchBytesMax) break;
      wanted += dataChunkHeadBytes + length;
    }
    return wanted;
  }

  /** Begins to read the next part, as a chunk of its own or as all there is; false if there is no memory for it now. */
  #beginPart(parted: PartedRead, length: number): boolean {
    const { disk } = this.#export;
    const { structuredReplies } = this.#agreed;
    const { request } = parted;
    const offset = request.offset + parted.begunBytes;
    if (structuredReplies && length > quickBytesMax && isHole(disk, offset, length)) {
      if (!this.#replies.hasRoom(0)) return false;
      parted.begunBytes += length;
      const done = this.#endPart(parted, length);
      this.#count(length, done);
      // The last chunk says that it is the last: those before it go first.
      this.#replies.flush();
      this.#replies.sendOwn(encodeHoleChunk(request, offset, length, done));
      return true;
    }
    const waits = !disk.isHere(offset, length);
    if (waits ? !this.#mayWait(length) : !this.#replies.hasRoom(length)) return false;
    parted.begunBytes += length;
    void this.#readPart(parted, offset, length, waits);
    return true;
  }

  async #readPart(parted: PartedRead, offset: number, length: number, waits: boolean): Promise<void> {
    const { request } = parted;
    const body = this.#replies.headBytes;
    const buffer = this.#memory.buffers.take(body + length);
    const error = await this.#read(buffer.subarray(body, body + length), offset, waits);
    const done = this.#endPart(parted, length);
    if (this.#aborter.signal.aborted || error !== undefined) this.#memory.buffers.release(buffer);
    if (this.#aborter.signal.aborted) return;
    if (error !== undefined) {
      this.#fail(request, offset, length, error, done);
    } else {
      this.#replies.writeHead(buffer, 0, request, offset, length, done);
      this.#count(length, done);
      // Threads' reads come to an end many at a time.
      if (length <= quickBytesMax) this.#replies.gather();
      this.#replies.send(buffer, body + length);
    }
    this.#pump();
  }

  /** Begins a read that is answered in one piece, however large. */
  #beginLarge(request: NbdRequest): boolean {
    const { offset, length } = request;
    const waits = !this.#export.disk.isHere(offset, length);
    if (waits ? !this.#mayWait(length) : !this.#replies.hasRoom(length)) return false;
    if (!this.#memory.largeReads.take(length, this.#pump)) return false;
    void this.#readLarge(request, offset, length, waits);
    return true;
  }

  async #readLarge(request: NbdRequest, offset: number, length: number, waits: boolean): Promise<void> {
    const body = this.#replies.headBytes;
    const buffer = Buffer.allocUnsafeSlow(body + length);
    const error = await this.#read(buffer.subarray(body), offset, waits);
    const { largeReads } = this.#memory;
    if (this.#aborter.signal.aborted) {
      largeReads.release(length);
      return;
    }
    if (error !== undefined) {
      this.#fail(request, offset, length, error, true);
      largeReads.release(length);
    } else {
      this.#replies.writeHead(buffer, 0, request, offset, length, true);
      this.#count(length, true);
      this.#replies.send(buffer, buffer.length, () => largeReads.release(length));
    }
    this.#pump();
  }

  /** Reads, and keeps account of the memory meanwhile; resolves to what went wrong, if something did. */
  async #read(target: Buffer, offset: number, waits: boolean): Promise<unknown> {
    // A read of a byte takes a buffer, too.
    const bytes = Math.max(target.length, smallestBytes);
    this.#underWay += 1;
    if (waits) this.#waitingBytes += bytes;
    else this.#replies.hold(bytes);
    try {
      await this.#export.disk.pread(target, offset, this.#aborter.signal);
      return undefined;
    } catch (error) {
      return error ?? new Error("unknown");
    } finally {
      this.#underWay -= 1;
      if (waits) this.#waitingBytes -= bytes;
      else this.#replies.letGo(bytes);
    }
  }

  /** A part has ended, one way or the other; true if it was the last. */
  #endPart(parted: PartedRead, length: number): boolean {
    parted.endedBytes += length;
    return parted.endedBytes === parted.request.length;
  }

  #fail(request: NbdRequest, offset: number, length: number, error: unknown, done: boolean): void {
    this.#export.readFailed(offset, length, error);
    this.#export.counters.errors += 1;
    if (this.#agreed.structuredReplies) {
      this.#replies.sendOwn(encodeErrorChunk(request, nbdError.io, messageOf(error), done, offset));
    } else {
      this.#answerSimply(request, nbdError.io);
    }
  }

  #tellStatus(request: NbdRequest): boolean {
    if (!this.#replies.hasRoom(0)) return false;
    const { offset, length, flags } = request;
    const known = this.#export.disk.extents(offset, length);
    this.#replies.sendOwn(
      encodeBlockStatus(request, known.slice(0, (flags & commandFlag.reqOne) !== 0 ? 1 : extentsMax)),
    );
    return true;
  }

  /** Answers without data; false if the client has not taken what it was sent. */
  #answer(request: NbdRequest, error: number, message: string): boolean {
    if (!this.#replies.hasRoom(0)) return false;
    const structured = request.type === command.read || request.type === command.blockStatus;
    if (error !== nbdError.none && structured && this.#agreed.structuredReplies) {
      this.#replies.sendOwn(encodeErrorChunk(request, error, message, true));
    } else {
      this.#answerSimply(request, error);
    }
    return true;
  }

  #answerSimply(request: NbdRequest, error: number): void {
    const reply = Buffer.alloc(simpleReplyBytes);
    writeSimpleReply(reply, 0, request, error);
    this.#replies.sendOwn(reply);
  }

  #mayWait(bytes: number): boolean {
    return this.#waitingBytes === 0 || this.#waitingBytes + bytes <= waitingBytesMax;
  }

  #count(bytes: number, done: boolean): void {
    const { counters } = this.#export;
    if (done) counters.reads += 1;
    counters.lastReadAtMs = Date.now();
    counters.readBytes += bytes;
  }
}

/** Whether all of a range is known to be a hole. */
function isHole(disk: NbdExport["disk"], offset: number, length: number): boolean {
  const [first] = disk.extents(offset, length);
  return first?.hole === true && first.length >= length;
}
