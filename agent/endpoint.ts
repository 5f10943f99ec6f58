import type { Endpoint } from "../swarm/types.ts";

/** Reads HOST:PORT or [IPV6]:PORT; undefined for anything else. */
export function endpointFrom(text: string): Endpoint | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s[\]]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (!match || port < 1 || port > 65_535) return undefined;
  return { host: match[1] ?? (match[2] as string), port };
}

/** Most peers taken from one magnet link. */
const magnetPeersMax = 50;

/** The peers that a magnet link names (BEP 9, x.pe). Anything in it that is no endpoint is passed over. */
export function magnetPeersFrom(magnetUri: string): Endpoint[] {
  const query = magnetUri.slice(magnetUri.indexOf("?") + 1);
  return new URLSearchParams(query)
    .getAll("x.pe")
    .slice(0, magnetPeersMax)
    .map(endpointFrom)
    .filter((endpoint) => endpoint !== undefined);
}
