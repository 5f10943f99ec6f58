/** One end of a simulated TCP connection, as a Peer needs it. */
import type { PeerSocket } from "../../swarm/types.ts";
import { type Links, packetPayloadBytes, quantumBytes, Transfer } from "./link.ts";
import type { Machine, Network } from "./network.ts";
import { copyOf, Outbox, withoutBlocks } from "./outbox.ts";

/** Bytes sent and not yet read, beyond which TCP's window closes. */
const windowBytes = 256 * 1024;
/** What Node's sockets have, beyond which "drain" tells when all is sent. */
const highWaterBytes = 64 * 1024;

/** Why a socket with something to send is not among its link's turns. */
type Holdup = "none" | "turn" | "sending" | "room" | "window" | "path";

export class SimSocket implements PeerSocket {
  readonly network: Network;
  readonly machine: Machine;
  /** The other end; itself until connected. */
  remote: SimSocket = this;
  #isOpen = false;
  #isClosed = false;
  /** The other end has to be told that this one is closed. */
  #owesEnd = false;
  readonly #outbox = new Outbox();
  #owesDrain = false;
  #holdup: Holdup = "none";
  /** Bytes that the other end has sent and this one has not read. */
  unreadBytes = 0;
  #inbox: Transfer[] | undefined;
  #onData: (chunk: Buffer) => void = () => {};
  #onDrain: () => void = () => {};
  #onError: (error: Error) => void = () => {};
  #onClose: (() => void)[] = [];

  constructor(network: Network, machine: Machine) {
    this.network = network;
    this.machine = machine;
  }

  get links(): Links {
    return this.machine.links;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  on(event: "data", listener: (chunk: Buffer) => void): this;
  on(event: "drain" | "close", listener: () => void): this;
  on(event: "error", listener: (error: Error) => void): this;
  on(event: string, listener: (argument: never) => void): this {
    if (event === "data") this.#onData = listener as (chunk: Buffer) => void;
    else if (event === "drain") this.#onDrain = listener as () => void;
    else if (event === "error") this.#onError = listener as (error: Error) => void;
    else if (event === "close") this.#onClose.push(listener as () => void);
    else throw new Error(`a simulated socket has no event "${event}"`);
    return this;
  }

  setNoDelay(): void {}

  get writableLength(): number {
    return this.#outbox.bytes;
  }

  write(bytes: Uint8Array, taken?: () => void): boolean {
    if (this.#isClosed) {
      if (taken) this.network.queue.after(0, taken);
      return false;
    }
    const chunk = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    this.network.observer?.written(this, chunk);
    const { content } = this.network;
    if (taken && content) this.#writeLight(withoutBlocks(chunk, content), taken);
    else this.#outbox.push(content ? copyOf(chunk) : chunk, taken, taken !== undefined);
    if (this.#outbox.bytes > highWaterBytes) this.#owesDrain = true;
    this.#activate();
    return !this.#owesDrain;
  }

  #writeLight(chunks: Buffer[], taken: () => void): void {
    for (const chunk of chunks) this.#outbox.push(chunk, undefined, false);
    // After the owner's own turn, as in Node.
    queueMicrotask(taken);
  }

  pause(): void {
    this.#inbox ??= [];
  }

  resume(): void {
    if (!this.#inbox) return;
    // As in Node, what waits comes in a later turn.
    this.network.queue.after(0, () => {
      const inbox = this.#inbox ?? [];
      this.#inbox = undefined;
      for (const transfer of inbox) this.receive(transfer);
    });
  }

  destroy(): void {
    if (this.#isClosed) return;
    this.vanish(true);
    this.network.queue.after(0, () => this.#emitClose());
  }

  /** Ends without a word to its owner, as when the owner's process is killed; `owesEnd`: the kernel tells the other end. */
  vanish(owesEnd: boolean): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const taken of this.#outbox.clear()) this.network.queue.after(0, taken);
    this.#inbox = undefined;
    this.machine.sockets.delete(this);
    this.#owesEnd = owesEnd && this.remote !== this;
    if (this.#holdup !== "sending") this.#sendEnd();
    this.remote.windowOpened();
  }

  // --- what the network calls

  /** The connection is there. */
  open(remote: SimSocket): void {
    this.remote = remote;
    this.#isOpen = true;
    this.#activate();
  }

  /** The connection is refused or reset. */
  fail(error: Error): void {
    if (this.#isClosed) return;
    this.vanish(false);
    this.#onError(error);
    this.#emitClose();
  }

  receive(transfer: Transfer): void {
    if (this.#isClosed) return;
    if (this.#inbox) {
      this.#inbox.push(transfer);
      return;
    }
    if (!transfer.chunks) {
      this.vanish(false);
      this.#emitClose();
      return;
    }
    this.unreadBytes -= transfer.bytes;
    for (const chunk of transfer.chunks) {
      if (this.#isClosed) return;
      this.network.observer?.delivered(this, chunk);
      this.#onData(chunk);
    }
    this.remote.windowOpened();
  }

  /** The path may be there again. */
  retry(): void {
    if (this.#holdup === "path") this.#holdup = "none";
    if (this.#isClosed) this.#sendEnd();
    else this.#activate();
  }

  // --- what the links call

  /** Its turn has come: whether it can make use of it. */
  maySend(): boolean {
    this.#holdup = "none";
    if (this.#isClosed) this.#sendEnd();
    if (this.#isClosed || this.#outbox.bytes === 0) return false;
    if (!this.network.isPath(this.machine, this.remote.machine)) {
      this.#holdup = "path";
      this.network.park(this);
      return false;
    }
    if (this.remote.unreadBytes >= windowBytes && !this.remote.isClosed) {
      this.#holdup = "window";
      return false;
    }
    if (!this.remote.links.isFull) return true;
    this.#holdup = "room";
    this.remote.links.waitForRoom(this);
    return false;
  }

  /** Up to `bytesMax` of what is to be sent; it is called `sent` later. */
  take(bytesMax: number): Transfer {
    this.#holdup = "sending";
    return this.#takeBytes(bytesMax);
  }

  sent(): void {
    this.#holdup = "none";
    if (this.#isClosed) this.#sendEnd();
    else this.#activate();
  }

  /** No longer waits for room on the other's down-link: whether it has any use for it. */
  stopWaiting(): boolean {
    this.#holdup = "none";
    if (this.#isClosed) this.#sendEnd();
    if (this.#isClosed || this.#outbox.bytes === 0) return false;
    this.#holdup = "turn";
    this.links.enqueue(this);
    return true;
  }

  /** The other end has read something, or is closed. */
  windowOpened(): void {
    if (this.#holdup !== "window" || (this.remote.unreadBytes > windowBytes / 2 && !this.remote.isClosed)) return;
    this.#holdup = "none";
    this.#activate();
  }

  // ---

  #activate(): void {
    const isIdle = this.#holdup !== "none" || this.#outbox.bytes === 0;
    if (isIdle || !this.#isOpen || this.#isClosed) return;
    if (this.#outbox.bytes <= packetPayloadBytes && this.network.isPath(this.machine, this.remote.machine)) {
      const isAwake = !this.links.isFrozen && this.remote.unreadBytes < windowBytes;
      if (isAwake && !this.#outbox.isSplit) {
        this.links.sendPacket(this.#takeBytes(quantumBytes));
        return;
      }
    }
    this.#holdup = "turn";
    this.links.enqueue(this);
  }

  #takeBytes(bytesMax: number): Transfer {
    const { chunks, bytes } = this.#outbox.take(bytesMax, (taken) => this.network.queue.after(0, taken));
    this.remote.unreadBytes += bytes;
    if (this.#outbox.bytes === 0 && this.#owesDrain) {
      this.#owesDrain = false;
      this.#tellDrain();
    }
    return new Transfer(this, chunks, bytes);
  }

  #tellDrain(): void {
    this.network.queue.after(0, () => {
      this.machine.links.whenAwake(() => {
        if (!this.#isClosed) this.#onDrain();
      });
    });
  }

  /** Tells the other end, once all that was under way has left, that this one is closed. */
  #sendEnd(): void {
    if (!this.#owesEnd) return;
    if (this.network.isPath(this.machine, this.remote.machine)) {
      this.#owesEnd = false;
      this.links.sendPacket(new Transfer(this, undefined, 0));
    } else {
      this.#holdup = "path";
      this.network.park(this);
    }
  }

  #emitClose(): void {
    const listeners = this.#onClose;
    this.#onClose = [];
    for (const listener of listeners) listener();
  }
}
