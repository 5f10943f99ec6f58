/** Requests for bytes that another seeder has are sent on to it: once, so that they never go round. */
import type { ServerResponse } from "node:http";
import type { Response } from "../../daemon/listener.ts";
import type { ImageRoute } from "./route.ts";

const parameter = "redirected";

/** Whether a request was sent on here by another seeder. */
export function wasSentOn({ query }: Pick<ImageRoute, "query">): boolean {
  return query.has(parameter);
}

/**
 * Sends a client on, with its method and headers as they are (RFC 9110, 15.4.8).
 *
 * @param url below a seeder's own URL as the store tells it, never anything that a client has said
 */
export function sendOn(response: Response, url: string): number {
  const location = new URL(url);
  location.searchParams.set(parameter, "1");
  const writable = response as ServerResponse;
  writable.writeHead(307, { location: location.href, "content-length": 0, "cache-control": "no-store" }).end();
  return 307;
}
