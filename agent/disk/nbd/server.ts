/**
 * A listener, and the exports that are reached through it: a Unix socket of one export, or a TCP port of many.
 *
 * A Unix socket that nobody listens on any more (an agent was killed) is taken over; one that answers is somebody else's.
 */
import { chmod, chown, lstat, unlink } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { createSecureContext, type TlsOptions } from "node:tls";
import { Problem } from "../../../daemon/problem.ts";
import type { Clock } from "../../../swarm/types.ts";
import type { ExportListen, SocketListen } from "../messages.ts";
import { NbdConnection } from "./connection.ts";
import type { ExportDirectory, NbdExport } from "./export.ts";
import { connectionsMax, tcpConnectionsMax } from "./limits.ts";
import type { Memory } from "./transmission.ts";

/** Of a Unix socket's path, in bytes: the kernel's sun_path, less its final zero. */
const socketPathBytesMax = 107;

export interface NbdServerOptions {
  listen: ExportListen;
  /** Certificate, key and authority as text, where TLS is required. */
  tls?: { cert: string; key: string; ca?: string | undefined } | undefined;
  memory: Memory;
  clock: Clock;
  onBreach(reason: string): void;
}

export class NbdServer implements ExportDirectory {
  readonly #options: NbdServerOptions;
  readonly #tls: TlsOptions | undefined;
  readonly #server: Server;
  readonly #exports = new Map<string, NbdExport>();
  readonly #connections = new Set<NbdConnection>();

  private constructor(options: NbdServerOptions) {
    this.#options = options;
    this.#tls = options.tls && tlsOptionsOf(options.tls);
    this.#server = createServer((socket) => this.#accept(socket));
    const most = "socketPath" in options.listen ? connectionsMax : tcpConnectionsMax;
    this.#server.maxConnections = most;
    this.#server.on("drop", () => options.onBreach(`${most} clients are connected already`));
  }

  /** @throws Problem if it cannot listen there, or the certificate does not fit */
  static async open(options: NbdServerOptions): Promise<NbdServer> {
    const server = new NbdServer(options);
    if ("socketPath" in options.listen) await makeWay(options.listen.socketPath);
    await listening(server.#server, options.listen);
    if ("socketPath" in options.listen) await admit(options.listen);
    // From now on an error is one of accept(2), such as too many open files: the next client may fare better.
    server.#server.on("error", (error) => options.onBreach(error.message));
    return server;
  }

  get isEmpty(): boolean {
    return this.#exports.size === 0;
  }

  /** @throws Problem if another export has the name */
  add(added: NbdExport): void {
    if (this.#exports.has(added.name)) {
      throw new Problem("already-exists", `another disk is served as ${JSON.stringify(added.name)} here`);
    }
    this.#exports.set(added.name, added);
  }

  /** Takes an export away and ends its connections. */
  async remove(removed: NbdExport): Promise<void> {
    this.#exports.delete(removed.name);
    await this.#endAll((connection) => connection.uses(removed));
  }

  async close(): Promise<void> {
    this.#exports.clear();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    await this.#endAll(() => true);
    await closed;
  }

  find(name: string): NbdExport | undefined {
    const found = this.#exports.get(name);
    if (found || name !== "" || !("socketPath" in this.#options.listen)) return found;
    const [first] = this.#exports.values();
    return first;
  }

  names(): string[] {
    return [...this.#exports.keys()];
  }

  /** Where clients reach an export, as libnbd and QEMU take it. */
  uriOf(name: string): string {
    const { listen } = this.#options;
    const path = encodeURIComponent(name);
    if ("socketPath" in listen) return `nbd+unix:///${path}?socket=${encodeSocketPath(listen.socketPath)}`;
    const address = this.#server.address();
    const port = typeof address === "object" && address !== null ? address.port : listen.port;
    const host = listen.host.includes(":") ? `[${listen.host}]` : listen.host;
    return `${this.#tls ? "nbds" : "nbd"}://${host}:${port}/${path}`;
  }

  #accept(socket: Socket): void {
    const { memory, clock, onBreach } = this.#options;
    const connection = new NbdConnection(socket, { directory: this, tls: this.#tls, memory, clock, onBreach });
    this.#connections.add(connection);
    void connection.closed.then(() => this.#connections.delete(connection));
  }

  async #endAll(which: (connection: NbdConnection) => boolean): Promise<void> {
    const ending = [...this.#connections].filter(which);
    for (const connection of ending) connection.destroy();
    await Promise.all(ending.map((connection) => connection.closed));
  }
}

function tlsOptionsOf({ cert, key, ca }: NonNullable<NbdServerOptions["tls"]>): TlsOptions {
  try {
    createSecureContext({ cert, key, ...(ca !== undefined && { ca }) });
  } catch (error) {
    throw new Problem(
      "invalid",
      "the certificate for NBD over TCP cannot be used: it and its key must be PEM and fit",
      {
        cause: error,
      },
    );
  }
  const trusts = ca === undefined ? {} : { ca, requestCert: true, rejectUnauthorized: true };
  return { cert, key, ...trusts, minVersion: "TLSv1.2" };
}

/** A path in a URI's query: slashes stay legible, as clients allow. */
function encodeSocketPath(path: string): string {
  return encodeURIComponent(path).replaceAll("%2F", "/");
}

/** Removes a socket that nobody listens on. */
async function makeWay(path: string): Promise<void> {
  if (Buffer.byteLength(path) > socketPathBytesMax) {
    throw new Problem("invalid", `${path} is too long for a Unix socket: ${socketPathBytesMax} bytes at most`);
  }
  const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw new Problem("invalid", `cannot look at ${path}`, { cause: error });
  });
  if (!found) return;
  if (!found.isSocket()) throw new Problem("already-exists", `${path} exists and is no socket`);
  if (await answers(path)) throw new Problem("already-exists", `another process serves ${path}`);
  await unlink(path).catch(() => {});
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

/** Lets those open a socket that may, and nobody else: until then, nobody but this process's user could. */
async function admit({ socketPath, groupId }: SocketListen): Promise<void> {
  if (groupId !== undefined) await chown(socketPath, process.getuid?.() ?? 0, groupId);
  await chmod(socketPath, groupId === undefined ? 0o600 : 0o660);
}

function listening(server: Server, listen: ExportListen): Promise<void> {
  return new Promise((resolve, reject) => {
    const where = "socketPath" in listen ? listen.socketPath : `${listen.host}:${listen.port}`;
    const onError = (error: NodeJS.ErrnoException) => {
      const kind = error.code === "EADDRINUSE" ? "already-exists" : "unavailable";
      reject(new Problem(kind, `cannot serve NBD on ${where}`, { cause: error }));
    };
    server.once("error", onError);
    const onListening = () => {
      server.off("error", onError);
      resolve();
    };
    if ("socketPath" in listen) server.listen(listen.socketPath, onListening);
    else server.listen({ host: listen.host, port: listen.port }, onListening);
  });
}
