/**
 * The DHT's UDP socket, as the library uses one (bind, send, close, address and their events), which lets nothing in
 * that has not been checked, and out of which no exception comes.
 */
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { EventEmitter } from "node:events";
import type { AddressInfo } from "node:net";
import { checkedDhtMessage } from "./dht-messages.ts";
import type { SwarmLog } from "./types.ts";

export class DhtSocket extends EventEmitter {
  readonly #socket: Socket;
  readonly #log: SwarmLog;

  /** @param socket not bound yet; it is closed with this one */
  constructor(log: SwarmLog, socket: Socket = createSocket("udp4")) {
    super();
    this.#socket = socket;
    this.#log = log;
    socket.on("listening", () => this.emit("listening"));
    socket.on("error", (error) => this.emit("error", error));
    socket.on("close", () => this.emit("close"));
    socket.on("message", (datagram, from) => this.#onDatagram(datagram, from));
  }

  bind(port?: number, address?: string, onListening?: () => void): void {
    this.#socket.bind(port, address, onListening);
  }

  address(): AddressInfo {
    return this.#socket.address();
  }

  /** Errors come to `onSent` alone: a port that is none, or an address of the wrong kind, concerns one node. */
  send(
    bytes: Uint8Array,
    offset: number,
    length: number,
    port: number,
    host: string,
    onSent: (error: Error | null) => void,
  ): void {
    try {
      this.#socket.send(bytes, offset, length, port, host, onSent);
    } catch (error) {
      onSent(error as Error);
    }
  }

  close(): void {
    this.#socket.close();
  }

  #onDatagram(datagram: Uint8Array, from: RemoteInfo): void {
    let message: Buffer;
    try {
      message = checkedDhtMessage(datagram);
    } catch (error) {
      this.#log.debug({ from: from.address, error: (error as Error).message }, "dht message dropped");
      return;
    }
    try {
      this.emit("message", message, from);
    } catch (error) {
      // What was checked should not do this. But the library handles messages outside any try, and a message that it
      // stumbles over must not end the process.
      this.#log.warn({ from: from.address, error: (error as Error).message }, "dht message not handled");
    }
  }
}
