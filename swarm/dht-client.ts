/** bittorrent-dht's client, safe to expose: what comes in is checked, what goes out fits into a datagram. */
import type { Socket } from "node:dgram";
import { Client, type DhtOptions } from "bittorrent-dht";
import { nodesPerAnswerMax, peersPerAnswerMax } from "./dht-messages.ts";
import { DhtSocket } from "./dht-socket.ts";
import type { SwarmLog } from "./types.ts";

/**
 * @param options the library's; without `bootstrap` it would join the public DHT
 * @param socket not bound yet; a new one unless given
 */
export function createDhtClient(options: Omit<DhtOptions, "socket">, log: SwarmLog, socket?: Socket): Client {
  const client = new Client({ ...options, socket: new DhtSocket(log, socket) });
  boundAnswers(client);
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
