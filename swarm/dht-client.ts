/** bittorrent-dht's client, safe to expose: what comes in is checked, what goes out fits into a datagram, all is bounded. */
import type { Socket } from "node:dgram";
import { Client, type DhtNode, type DhtOptions, type OnAnswer } from "bittorrent-dht";
import { Announcements } from "./dht-announcements.ts";
import { nodesPerAnswerMax, peersPerAnswerMax } from "./dht-messages.ts";
import { DhtSocket } from "./dht-socket.ts";
import { isLoopback } from "./endpoint.ts";
import { dhtNodesPerHostMax, dhtQueriesPerLookupMax } from "./limits.ts";
import type { Clock, SwarmLog } from "./types.ts";

export interface DhtClientOptions {
  log: SwarmLog;
  clock: Pick<Clock, "now">;
  /** Uniform in [0, 1). */
  random: () => number;
  /** Not bound yet; a new one unless given. */
  socket?: Socket | undefined;
}

/** @param library the library's options; without `bootstrap` it would join the public DHT */
export function createDhtClient(library: Omit<DhtOptions, "socket">, options: DhtClientOptions): Client {
  const { log, clock, random, socket } = options;
  const client = new Client({ ...library, socket: new DhtSocket(log, socket) });
  client._peers.destroy();
  client._peers = new Announcements({ now: () => clock.now(), random });
  boundAnswers(client);
  boundRoutingTable(client);
  boundLookups(client);
  return client;
}

/**
 * The library answers with all nodes of its routing table (closest first) and all peers of an infohash (in random
 * order), which a datagram cannot carry once there are many. Only for its own use does it ask for a number of them.
 */
function boundAnswers(client: Client): void {
  const { nodes, _peers: peers } = client;
  const closest = nodes.closest.bind(nodes);
  nodes.closest = (id, count = nodesPerAnswerMax) => closest(id, count);
  const get = peers.get.bind(peers);
  peers.get = (infohash, count = peersPerAnswerMax) => get(infohash, count);
}

/**
 * Whoever sends a datagram gets into the library's routing table, by any id it makes up, and one host could have all of
 * it. So a host has few places: the newest of its nodes keep them, as those that it had before it was started anew are gone.
 */
function boundRoutingTable({ nodes }: Client): void {
  const ofHost = new Map<string, Set<DhtNode>>();
  const added = (node: DhtNode): void => {
    const others = ofHost.get(node.host) ?? new Set();
    ofHost.set(node.host, others.add(node));
    const [oldest] = others;
    if (oldest && others.size > dhtNodesPerHostMax && !isLoopback(node.host)) nodes.remove(oldest.id);
  };
  const removed = (node: DhtNode): void => {
    const others = ofHost.get(node.host);
    others?.delete(node);
    if (others?.size === 0) ofHost.delete(node.host);
  };
  nodes.on("added", added);
  nodes.on("removed", removed);
  // Who is added once more is another object from then on, perhaps at another address.
  nodes.on("updated", (before: DhtNode, now: DhtNode) => {
    removed(before);
    added(now);
  });
}

/**
 * A look-up ends when nobody names nodes any more that are closer: whoever makes them up without end would keep it going,
 * and all others waiting, since few queries are under way at once. All queries of a look-up have one message.
 */
function boundLookups({ _rpc: { socket } }: Client): void {
  const asked = new WeakMap<object, number>();
  const query = socket.query.bind(socket);
  socket.query = (node: DhtNode, message: object, onAnswer?: OnAnswer) => {
    const count = (asked.get(message) ?? 0) + 1;
    asked.set(message, count);
    if (count <= dhtQueriesPerLookupMax) query(node, message, onAnswer);
    else setImmediate(() => onAnswer?.(new Error("enough nodes were asked"), null, node));
  };
}
