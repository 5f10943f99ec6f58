/**
 * Some of the nodes that have an image, or are fetching it, for one that has few peers of it: a way to find each other
 * beside the DHT. Pure; the randomness comes with each call.
 */
import { isLoopback } from "../../swarm/endpoint.ts";
import type { Endpoint } from "../../swarm/types.ts";

/** Draws for each peer wanted: some nodes are lost, or serve no peers. */
const drawsPerPeer = 4;

/** All that have an image or are fetching it, by index. One may be there twice. */
export interface Candidates {
  readonly count: number;
  /** Where the candidate serves peers; undefined if it does not now. */
  endpointAt(index: number): Endpoint | undefined;
}

/** Up to `count` of them, chosen at random, for the node that serves peers at `asker`. */
export function someImagePeers(
  candidates: Candidates,
  asker: Endpoint | undefined,
  count: number,
  random: () => number,
): Endpoint[] {
  const chosen = new Map<string, Endpoint>();
  const all = candidates.count <= count;
  const draws = all ? candidates.count : count * drawsPerPeer;
  for (let draw = 0; draw < draws && chosen.size < count; draw++) {
    const endpoint = candidates.endpointAt(all ? draw : Math.floor(random() * candidates.count));
    // An address of the seeder's own machine means another machine elsewhere.
    if (!endpoint || (isLoopback(endpoint.host) && !(asker && isLoopback(asker.host)))) continue;
    chosen.set(`${endpoint.host} ${endpoint.port}`, endpoint);
  }
  return [...chosen.values()];
}
