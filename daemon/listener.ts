/**
 * One port for everything a daemon serves: gRPC over HTTP/2, gRPC-Web and Connect's JSON over HTTP/1.1 and HTTP/2,
 * /metrics, /healthz, /readyz and, in the seeder, image bytes.
 *
 * A plain-text port cannot learn the protocol from TLS, so the first bytes decide: HTTP/2 with prior knowledge opens
 * with "PRI * HTTP/2.0" (RFC 9113, 3.4), and no HTTP/1.1 request starts so.
 */
import { lstat, rm } from "node:fs/promises";
import { createServer as createHttp1Server, type ServerResponse } from "node:http";
import { createServer as createHttp2Server, type ServerHttp2Session } from "node:http2";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { type ConnectRouter, createContextKey, createContextValues } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import type { Registry } from "prom-client";
import { translateErrors } from "./api-errors.ts";
import { type Readiness, serveHealth } from "./health.ts";
import { httpUrlOf, isLoopback, type ListenAddress } from "./listen-address.ts";
import type { Log } from "./log.ts";
import { messageOf, Problem, systemCodeOf } from "./problem.ts";

type AdapterHandler = ReturnType<typeof connectNodeAdapter>;
export type Request = Parameters<AdapterHandler>[0];
export type Response = Parameters<AdapterHandler>[1];
/** Answers a request and says so, or returns false to leave it to the next. */
export type HttpHandler = (request: Request, response: Response) => boolean;

/** Largest RPC message taken, in bytes: a full report of a node with thousands of images is well below. */
export const messageBytesMax = 8 * 1024 * 1024;
/**
 * API connections open at once, one or two a node of a region as large as the inventory takes; more are refused until
 * some close. The operating system's bound on open files is reached first where it is not raised.
 */
const connectionsMax = 200_000;
/** A client must say what it speaks, and send a request's head, within this time. */
const headTimeoutMs = 10_000;
const http2Preface = Buffer.from("PRI * HTTP/2.0");

/** The address from which a call comes; undefined for one over a Unix socket. */
export const remoteAddress = createContextKey<string | undefined>(undefined, { description: "remote address" });

export interface ListenerOptions {
  address: ListenAddress;
  /** Registers the daemon's RPC services. */
  routes: (router: ConnectRouter) => void;
  /** What is answered before RPC sees it (unary-shortcut.ts). */
  shortcut?: HttpHandler;
  /** Plain HTTP beside RPC, metrics and health. */
  http?: HttpHandler;
  metrics: Registry;
  readiness: () => Readiness;
  log: Log;
}

export interface Listener {
  /** http://HOST:PORT, or unix:/PATH. */
  readonly url: string;
  /** Stops listening, ends streams, and closes what is still open. */
  close(): Promise<void>;
}

/**
 * Opens the listener.
 *
 * @throws Problem "conflict" if the port or socket is taken, "invalid" if the address is not this machine's.
 */
export async function openListener(options: ListenerOptions): Promise<Listener> {
  const shutdown = new AbortController();
  const handler = requestHandler(options, shutdown.signal);
  const http1 = createHttp1Server(
    { requestTimeout: 0, headersTimeout: headTimeoutMs, keepAliveTimeout: 60_000 },
    handler,
  );
  const http2 = createHttp2Server({ settings: { maxConcurrentStreams: 256 } }, handler);
  const sockets = new Set<Socket>();
  const sessions = new Set<ServerHttp2Session>();
  http2.on("session", (session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
    session.on("error", (error) => options.log.debug({ error: error.message }, "http2 session failed"));
  });
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    routeByProtocol(socket, (isHttp2) => (isHttp2 ? http2 : http1).emit("connection", socket));
  });
  server.maxConnections = connectionsMax;
  await listen(server, options.address);
  if (!isLoopback(options.address)) {
    options.log.warn(
      { address: options.address },
      "the API is open to other machines and has no authentication; keep it on a trusted network",
    );
  }
  return {
    url: urlOf(server, options.address),
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      shutdown.abort(new Error("the daemon is stopping"));
      for (const session of sessions) session.close();
      http1.closeIdleConnections();
      // Give streams told to end a turn to say so, then close whatever a client still holds open.
      await new Promise((resolve) => setTimeout(resolve, 100));
      for (const socket of sockets) socket.destroy();
      http1.close();
      http2.close();
      await closed;
    },
  };
}

function requestHandler(options: ListenerOptions, shutdownSignal: AbortSignal) {
  const rpc = connectNodeAdapter({
    routes: (router) => {
      options.routes(router);
      serveHealth(router, options.readiness, shutdownSignal);
    },
    interceptors: [translateErrors],
    readMaxBytes: messageBytesMax,
    writeMaxBytes: messageBytesMax,
    shutdownSignal,
    contextValues: (request) => createContextValues().set(remoteAddress, addressOf(request)),
    fallback: (request: Request, response: Response) => {
      if (servePlain(options, request, response) || options.http?.(request, response)) return;
      sendText(response, 404, `there is nothing at ${request.url}\n`);
    },
  });
  return (request: Request, response: Response) => {
    request.on("error", (error) => options.log.debug({ error: error.message, url: request.url }, "request failed"));
    if (!options.shortcut?.(request, response)) rpc(request, response);
  };
}

/** Where a request comes from. On a dual-stack listener an IPv4 address comes in IPv6's clothes. */
export function addressOf(request: Request): string | undefined {
  return request.socket?.remoteAddress?.replace(/^::ffff:/, "");
}

function servePlain(options: ListenerOptions, request: Request, response: Response): boolean {
  if (request.method !== "GET" && request.method !== "HEAD") return false;
  switch (request.url?.split("?", 1)[0]) {
    case "/metrics":
      options.metrics.metrics().then(
        (text) => sendText(response, 200, text, options.metrics.contentType),
        (error: unknown) => sendText(response, 500, `${messageOf(error)}\n`),
      );
      return true;
    case "/healthz":
      sendText(response, 200, "ok\n");
      return true;
    case "/readyz": {
      const { ready, reasons } = options.readiness();
      sendText(response, ready ? 200 : 503, ready ? "ready\n" : `not ready: ${reasons.join("; ")}\n`);
      return true;
    }
    default:
      return false;
  }
}

/** Sends a short text and ends the response. */
export function sendText(response: Response, status: number, text: string, type = "text/plain; charset=utf-8"): void {
  // The two response classes agree here, but their overloads do not unify.
  const writable = response as ServerResponse;
  writable.writeHead(status, { "content-type": type, "content-length": Buffer.byteLength(text) });
  writable.end(writable.req?.method === "HEAD" ? undefined : text);
}

/** Looks at a connection's first bytes without taking them, and says whether they open HTTP/2. */
function routeByProtocol(socket: Socket, route: (isHttp2: boolean) => void): void {
  const timer = setTimeout(() => socket.destroy(), headTimeoutMs);
  socket.once("close", () => clearTimeout(timer));
  let seen = Buffer.alloc(0);
  const onReadable = () => {
    const chunk: Buffer | null = socket.read();
    if (!chunk) return;
    seen = Buffer.concat([seen, chunk]);
    const compared = Math.min(seen.length, http2Preface.length);
    const mayBeHttp2 = seen.subarray(0, compared).equals(http2Preface.subarray(0, compared));
    if (mayBeHttp2 && compared < http2Preface.length) return;
    clearTimeout(timer);
    socket.removeListener("readable", onReadable);
    socket.unshift(seen);
    route(mayBeHttp2);
  };
  socket.on("readable", onReadable);
}

async function listen(server: Server, address: ListenAddress): Promise<void> {
  if ("path" in address) await removeStaleSocket(address.path);
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => reject(listenProblem(error, address)));
    server.listen(address, resolve);
  });
}

function listenProblem(error: Error, address: ListenAddress): Problem {
  const where = "path" in address ? address.path : `${address.host}:${address.port}`;
  switch (systemCodeOf(error)) {
    case "EADDRINUSE":
      return new Problem(
        "conflict",
        `${where} is in use by another process; stop it, or choose another address with --listen`,
        { cause: error },
      );
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return new Problem("invalid", `${where} is no address of this machine; choose another with --listen`, {
        cause: error,
      });
    case "EACCES":
      return new Problem(
        "invalid",
        `not allowed to listen on ${where}; choose a port above 1023, or another path, with --listen`,
        { cause: error },
      );
    default:
      return new Problem("unavailable", `cannot listen on ${where}`, { cause: error });
  }
}

/**
 * A socket file that nobody answers on is left from a killed process, and in the way.
 *
 * @throws Problem "invalid" if there is something else at the path: it is not ours to remove.
 */
async function removeStaleSocket(path: string): Promise<void> {
  const there = await lstat(path).catch(() => undefined);
  if (!there) return;
  if (!there.isSocket()) {
    throw new Problem("invalid", `${path} exists and is no socket; choose another path with --listen unix:/PATH`);
  }
  const isStale = await new Promise<boolean>((resolve) => {
    const probe = connect(path, () => {
      probe.destroy();
      resolve(false);
    });
    probe.on("error", (error) => resolve(systemCodeOf(error) === "ECONNREFUSED"));
  });
  if (isStale) await rm(path, { force: true });
}

function urlOf(server: Server, address: ListenAddress): string {
  if ("path" in address) return `unix:${address.path}`;
  return httpUrlOf(address.host, (server.address() as AddressInfo).port);
}
