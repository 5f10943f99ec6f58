/**
 * One client: its socket, which phase it is in, and how long it may take. The phases know no sockets; what they throw ends
 * the connection here, and nothing else.
 */
import type { Socket } from "node:net";
import { createServer as createTlsServer, type TlsOptions } from "node:tls";
import type { Clock } from "../../../swarm/types.ts";
import type { ExportDirectory, NbdExport } from "./export.ts";
import { Handshake } from "./handshake.ts";
import { handshakeTimeoutMs, handshakeUnsentBytesMax, lingerTimeoutMs } from "./limits.ts";
import { NbdProtocolError } from "./protocol.ts";
import type { Outlet } from "./replies.ts";
import { type Memory, Transmission } from "./transmission.ts";

export interface ConnectionOptions {
  directory: ExportDirectory;
  /** The server's certificate, where TLS is required. */
  tls?: TlsOptions | undefined;
  memory: Memory;
  clock: Clock;
  /** Why a connection was ended by us. */
  onBreach(reason: string): void;
}

export class NbdConnection {
  /** Resolves once its socket is closed. */
  readonly closed: Promise<void>;
  readonly #options: ConnectionOptions;
  /** As accepted, below TLS. */
  readonly #raw: Socket;
  /** What the phases speak through. */
  #socket: Socket;
  #handshake: Handshake | undefined;
  #transmission: Transmission | undefined;
  #export: NbdExport | undefined;
  #cancelTimeout: () => void;

  constructor(socket: Socket, options: ConnectionOptions) {
    this.#options = options;
    this.#raw = socket;
    this.#socket = socket;
    this.#cancelTimeout = options.clock.after(handshakeTimeoutMs, () => {
      this.#break(`no handshake within ${handshakeTimeoutMs} ms`);
    });
    this.closed = new Promise((resolve) => {
      socket.once("close", () => {
        this.#ended();
        resolve();
      });
    });
    this.#listen(socket);
    this.#handshake = new Handshake(options.directory, options.tls ? "required" : "none", {
      send: (bytes) => this.#sendOption(bytes),
      startTls: () => this.#startTls(),
      transmit: (chosen, agreed, rest) => {
        this.#beginTransmission(new Transmission(chosen, agreed, this.#outlet(), options.memory), chosen);
        if (rest.length > 0) this.#transmission?.receive(rest);
      },
      end: () => this.#end(),
    });
  }

  /** Whether it reads, or is about to read, this export. */
  uses(chosen: NbdExport): boolean {
    return this.#export === chosen;
  }

  destroy(): void {
    this.#raw.destroy();
  }

  #listen(socket: Socket): void {
    socket.setNoDelay(true);
    // A reset is a way to leave.
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
  }

  #receive(chunk: Buffer): void {
    try {
      if (this.#transmission) this.#transmission.receive(chunk);
      else this.#handshake?.receive(chunk);
    } catch (error) {
      if (!(error instanceof NbdProtocolError)) throw error;
      this.#break(error.message);
    }
  }

  #sendOption(bytes: Buffer): void {
    if (this.#socket.writableLength > handshakeUnsentBytesMax) {
      throw new NbdProtocolError("a client that asks and does not take the answers");
    }
    this.#socket.write(bytes);
  }

  #startTls(): void {
    const raw = this.#raw;
    raw.removeAllListeners("data");
    // A server of its own that listens to nothing: it checks clients' certificates, which a bare TLSSocket does not.
    const server = createTlsServer(this.#options.tls as TlsOptions);
    server.once("secureConnection", (secure) => {
      this.#socket = secure;
      this.#listen(secure);
      this.#handshake?.secured();
    });
    server.once("tlsClientError", (error) => this.#break(`TLS: ${error.message}`));
    server.emit("connection", raw);
  }

  #beginTransmission(transmission: Transmission, chosen: NbdExport): void {
    this.#cancelTimeout();
    this.#handshake = undefined;
    this.#transmission = transmission;
    this.#export = chosen;
    chosen.counters.connections += 1;
  }

  #outlet(): Outlet {
    const socket = this.#socket;
    let isGathering = false;
    return {
      write: (bytes, sent) => socket.write(bytes, sent),
      gather: () => {
        if (isGathering) return;
        isGathering = true;
        socket.cork();
        setImmediate(() => {
          isGathering = false;
          socket.uncork();
        });
      },
      pause: () => socket.pause(),
      resume: () => socket.resume(),
      end: () => this.#end(),
    };
  }

  /** Lets the client have its last replies, for a while. */
  #end(): void {
    if (this.#socket.writableEnded) return;
    this.#socket.end();
    this.#cancelTimeout();
    this.#cancelTimeout = this.#options.clock.after(lingerTimeoutMs, () => this.destroy());
  }

  #break(reason: string): void {
    if (this.#raw.destroyed) return;
    this.#options.onBreach(reason);
    this.destroy();
  }

  #ended(): void {
    this.#cancelTimeout();
    this.#handshake = undefined;
    this.#transmission?.close();
    if (this.#export) this.#export.counters.connections -= 1;
    this.#export = undefined;
  }
}
