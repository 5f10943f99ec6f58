/** What an address and port are: as a map's key, as something to dial, and whether many nodes may share the host. */
import type { Endpoint } from "./types.ts";

/** An endpoint as a map's key. */
export function keyOf(endpoint: Endpoint): string {
  return `${endpoint.host}:${endpoint.port}`;
}

/** Whether a peer can be there at all: no wildcard, multicast or broadcast address. */
export function isDialable({ host, port }: Endpoint): boolean {
  return Number.isInteger(port) && port > 0 && port <= 65_535 && host !== "" && !nobodysHost.test(host);
}

const nobodysHost = /^(0\.|22[4-9]\.|2[345]\d\.|::$|ff[0-9a-f]{2}:)/i;

/** Behind one loopback address live many nodes: in tests, and on a hypervisor that plays several. */
export function isLoopback(host: string): boolean {
  return host.startsWith("127.") || host === "::1" || host.startsWith("::ffff:127.");
}

/** Those of the host that has most among `all`, in their order. */
export function crowdOf<Connection>(
  all: Iterable<Connection>,
  hostOf: (connection: Connection) => string,
): Connection[] {
  const byHost = new Map<string, Connection[]>();
  let crowd: Connection[] = [];
  for (const connection of all) {
    const host = hostOf(connection);
    const connections = byHost.get(host) ?? [];
    byHost.set(host, connections);
    connections.push(connection);
    if (connections.length > crowd.length) crowd = connections;
  }
  return crowd;
}
