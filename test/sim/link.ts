/**
 * A machine's two links. The up-link serves its sockets in turn, a quantum of bytes each, as TCP shares a link; what fits
 * into one packet does not wait for a turn, as it would not wait long behind some milliseconds of queue. A quantum then
 * queues for the receiver's down-link; once enough waits there, no sender adds to it, which is what TCP's congestion
 * control aims at without its losses. A link counts packet headers, too.
 */
import type { EventQueue, SimEvent } from "./event-queue.ts";
import type { SimSocket } from "./socket.ts";

/** What one socket sends before it is another's turn: a block and its header. */
export const quantumBytes = 16 * 1024 + 13;
/** Ethernet with IPv4 and TCP: payload of a full packet, and what goes around it. */
export const packetPayloadBytes = 1_448;
const packetOverheadBytes = 90;
/** How much may wait for a down-link: so many milliseconds of it, and some quanta at the least. */
const queueMs = 25;
const queueBytesMin = 4 * quantumBytes;

/** Turns that are over are let go in groups. */
const turnsKept = 1_024;

export interface LinkRates {
  upBytesPerMs: number;
  downBytesPerMs: number;
  /** From this machine to the network's middle. */
  latencyMs: number;
}

/** Bytes on the wire for `bytes` of a stream. */
export function wireBytes(bytes: number): number {
  return bytes + packetOverheadBytes * Math.ceil(bytes / packetPayloadBytes);
}

/** A part of a stream on its way: first on the up-link, then to the other machine, then on its down-link. */
export class Transfer implements SimEvent {
  readonly socket: SimSocket;
  /** undefined is the stream's end. */
  readonly chunks: Buffer[] | undefined;
  readonly bytes: number;
  stage: "up" | "between" | "down" = "up";

  constructor(socket: SimSocket, chunks: Buffer[] | undefined, bytes: number) {
    this.socket = socket;
    this.chunks = chunks;
    this.bytes = bytes;
  }

  /** The stage has come to its end. */
  fire(): boolean {
    const { links } = this.socket.remote;
    if (this.stage === "between") return links.arrive(this);
    if (this.stage === "up") {
      this.socket.links.quantumSent(this);
      // What leaves a machine is no news to what runs there.
      return false;
    }
    links.deliver(this);
    return true;
  }
}

export class Links {
  readonly rates: LinkRates;
  readonly #queue: EventQueue;
  /** Sockets that have something to send and may. */
  #turns: SimSocket[] = [];
  #turnsAt = 0;
  #isSending = false;
  #upFreeAtMs = 0;
  /** When the last single packet leaves. */
  #packetsEndAtMs = 0;
  #downFreeAtMs = 0;
  /** Bytes on their way to this machine. */
  #incomingBytes = 0;
  /** Sockets of others that wait until less is on its way to this machine. */
  #waiting: SimSocket[] = [];
  #waitingAt = 0;
  #held: (() => void)[] | undefined;
  sentBytes = 0;
  receivedBytes = 0;

  constructor(rates: LinkRates, queue: EventQueue) {
    this.rates = rates;
    this.#queue = queue;
  }

  /** Nothing is sent and nothing of what arrives is taken until `thaw`. */
  freeze(): void {
    this.#held ??= [];
  }

  thaw(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const each of held) each();
    this.#sendNext();
  }

  get isFrozen(): boolean {
    return this.#held !== undefined;
  }

  /** Runs `act` now, or when the machine thaws. */
  whenAwake(act: () => void): void {
    if (this.#held) this.#held.push(act);
    else act();
  }

  // --- up

  /** The socket has something to send; it is asked for it when its turn comes. */
  enqueue(socket: SimSocket): void {
    this.#turns.push(socket);
    this.#sendNext();
  }

  /** Sends what fits into one packet ahead of all turns. */
  sendPacket(transfer: Transfer): void {
    const takenMs = wireBytes(transfer.bytes) / this.rates.upBytesPerMs;
    // The quanta that come after it are that much later.
    this.#upFreeAtMs = Math.max(this.#upFreeAtMs, this.#queue.nowMs) + takenMs;
    this.sentBytes += transfer.bytes;
    transfer.socket.remote.links.expect(transfer.bytes);
    this.#packetsEndAtMs = Math.max(this.#packetsEndAtMs, this.#queue.nowMs) + takenMs;
    this.#propagate(transfer, this.#packetsEndAtMs);
  }

  #sendNext(): void {
    if (this.#isSending || this.#held) return;
    let socket: SimSocket | undefined;
    while (!socket) {
      if (this.#turnsAt === this.#turns.length) {
        this.#turns.length = this.#turnsAt = 0;
        return;
      }
      const next = this.#turns[this.#turnsAt++]!;
      if (next.maySend()) socket = next;
    }
    if (this.#turnsAt > turnsKept) {
      this.#turns = this.#turns.slice(this.#turnsAt);
      this.#turnsAt = 0;
    }
    this.#isSending = true;
    const transfer = socket.take(quantumBytes);
    const takenMs = wireBytes(transfer.bytes) / this.rates.upBytesPerMs;
    this.#upFreeAtMs = Math.max(this.#upFreeAtMs, this.#queue.nowMs) + takenMs;
    this.sentBytes += transfer.bytes;
    transfer.socket.remote.links.expect(transfer.bytes);
    this.#queue.at(this.#upFreeAtMs, transfer);
  }

  /** A quantum has left. */
  quantumSent(transfer: Transfer): void {
    this.#isSending = false;
    this.#propagate(transfer, this.#queue.nowMs);
    transfer.socket.sent();
    this.#sendNext();
  }

  #propagate(transfer: Transfer, sentAtMs: number): void {
    const { links } = transfer.socket.remote;
    const latencyMs = this.rates.latencyMs + links.rates.latencyMs;
    transfer.stage = "between";
    this.#queue.at(sentAtMs + latencyMs, transfer);
  }

  // --- down

  get isFull(): boolean {
    const bytesMax = this.rates.downBytesPerMs * (queueMs + 4 * this.rates.latencyMs);
    return this.#incomingBytes > Math.max(bytesMax, queueBytesMin);
  }

  /** The socket of another machine waits for its turn to send to this one. */
  waitForRoom(socket: SimSocket): void {
    this.#waiting.push(socket);
  }

  /** Bytes are on their way. */
  expect(bytes: number): void {
    this.#incomingBytes += bytes;
  }

  /** The last bit is here, or would be if the link were idle. True if it was delivered at once. */
  arrive(transfer: Transfer): boolean {
    const nowMs = this.#queue.nowMs;
    const takenMs = wireBytes(transfer.bytes) / this.rates.downBytesPerMs;
    // While its last bit was on the way, the first ones were read.
    const endAtMs = Math.max(this.#downFreeAtMs, nowMs - takenMs) + takenMs;
    this.#downFreeAtMs = endAtMs;
    if (endAtMs > nowMs) {
      transfer.stage = "down";
      this.#queue.at(endAtMs, transfer);
      return false;
    }
    this.deliver(transfer);
    return true;
  }

  deliver(transfer: Transfer): void {
    this.#incomingBytes -= transfer.bytes;
    this.receivedBytes += transfer.bytes;
    this.#callWaiting();
    if (this.#held) this.#held.push(() => transfer.socket.remote.receive(transfer));
    else transfer.socket.remote.receive(transfer);
  }

  /** One sender for each quantum that came; all of them if no other quantum is there to call the next. */
  #callWaiting(): void {
    while (this.#waitingAt < this.#waiting.length && !this.isFull) {
      const next = this.#waiting[this.#waitingAt++]!;
      if (next.stopWaiting() && this.#incomingBytes > 0) break;
    }
    if (this.#waitingAt === this.#waiting.length) this.#waiting.length = this.#waitingAt = 0;
  }
}
