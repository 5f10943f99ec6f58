import type { Transport } from "@connectrpc/connect";
import { compressionGzip, createConnectTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { Catalog } from "./catalog/catalog.ts";
import { SeederLink } from "./catalog/seeder-link.ts";
import { HttpOrigin, type OriginIdentity } from "./fetch/http-origin.ts";

/** A seeder that does not answer a ping by then is taken to be away, and streams from it end. */
const pingIntervalMs = 15_000;
const pingTimeoutMs = 10_000;
/** Largest message taken from the seeder: one image or one answer to a report; far more than either has. */
const messageBytesMax = 8 * 1024 * 1024;

/** Everything by which an agent speaks with its seeder. */
export interface SeederConnection {
  link: SeederLink;
  transport: Transport;
  catalog: Catalog;
  origin: HttpOrigin;
  /** Ends calls and downloads under way. */
  close(): Promise<void>;
}

/**
 * Prepares the connection; nothing is sent before something is asked.
 *
 * @param identity how downloads are asked for
 */
export function connectSeeder(url: string, identity: OriginIdentity, now: () => Date): SeederConnection {
  const link = new SeederLink(url, now);
  const session = new Http2SessionManager(url, { pingIntervalMs, pingTimeoutMs });
  const transport = createConnectTransport({
    baseUrl: url,
    httpVersion: "2",
    sessionManager: session,
    acceptCompression: [compressionGzip],
    readMaxBytes: messageBytesMax,
  });
  const origin = new HttpOrigin(url, identity);
  const close = () => {
    session.abort();
    return origin.close();
  };
  return { link, transport, catalog: new Catalog(transport, link), origin, close };
}
