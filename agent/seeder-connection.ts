import type { Transport } from "@connectrpc/connect";
import { compressionGzip, createConnectTransport } from "@connectrpc/connect-node";
import { request } from "undici";
import type { Log } from "../daemon/log.ts";
import type { Clock } from "../swarm/types.ts";
import { Catalog } from "./catalog/catalog.ts";
import { HttpOrigin, type OriginIdentity } from "./fetch/http-origin.ts";
import { SeederSession } from "./seeders/seeder-session.ts";
import { seederTransport } from "./seeders/seeder-transport.ts";
import { Seeders } from "./seeders/seeders.ts";

/** A seeder that does not answer a ping by then is taken to be away, and streams from it end. */
const pingIntervalMs = 15_000;
const pingTimeoutMs = 10_000;
/** Largest message taken from the seeder: one image or one answer to a report; far more than either has. */
const messageBytesMax = 8 * 1024 * 1024;
/** A seeder that is looked after has this long to say that it is ready. */
const readyTimeoutMs = 5_000;

/** Everything by which an agent speaks with its seeders. */
export interface SeederConnection {
  seeders: Seeders;
  /** For what can wait: a call that fails is not repeated, and the next goes to another seeder. */
  transport: Transport;
  /** Calls go to another seeder at once where one does not answer. */
  catalog: Catalog;
  origin: HttpOrigin;
  /** Whether a seeder says that it is ready. */
  isReady: (url: string, signal: AbortSignal) => Promise<boolean>;
  /** Ends calls and downloads under way. */
  close(): Promise<void>;
}

export interface SeederConnectionOptions {
  /** At least one. */
  urls: readonly string[];
  /** How downloads are asked for. */
  identity: OriginIdentity;
  clock: Clock;
  now: () => Date;
  log: Log;
}

/** Prepares the connection; nothing is sent before something is asked. */
export function connectSeeder({ urls, identity, clock, now, log }: SeederConnectionOptions): SeederConnection {
  const nowMs = () => clock.now();
  const seeders = new Seeders({ urls, nodeId: identity.nodeId, nowMs, now, log });
  const open = new Map<string, { session: SeederSession; transport: Transport }>();
  const transportTo = (url: string) => {
    const known = open.get(url);
    if (known) return known.transport;
    // Of one that is no longer told of, nothing stays.
    const urlsNow = new Set(seeders.list().map((each) => each.url));
    for (const [other, { session }] of open) {
      if (urlsNow.has(other)) continue;
      session.abort();
      open.delete(other);
    }
    const opened = transportOver(url);
    open.set(url, opened);
    return opened.transport;
  };
  const options = { seeders, transportTo, nowMs };
  const origin = new HttpOrigin(seeders, identity);
  return {
    seeders,
    transport: seederTransport({ ...options, isEager: false }),
    catalog: new Catalog(seederTransport({ ...options, isEager: true }), seeders),
    origin,
    isReady,
    close: () => {
      for (const { session } of open.values()) session.abort();
      return origin.close();
    },
  };
}

function transportOver(url: string) {
  const session = new SeederSession(url, { pingIntervalMs, pingTimeoutMs });
  const transport = createConnectTransport({
    baseUrl: url,
    httpVersion: "2",
    sessionManager: session,
    acceptCompression: [compressionGzip],
    readMaxBytes: messageBytesMax,
  });
  return { session, transport };
}

async function isReady(url: string, signal: AbortSignal): Promise<boolean> {
  try {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(readyTimeoutMs)]);
    const { statusCode, body } = await request(`${url}/readyz`, { signal: limit });
    await body.dump();
    return statusCode === 200;
  } catch {
    return false;
  }
}
