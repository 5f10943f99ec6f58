import type { ImagePeers, SwarmEndpoint } from "../../proto/gen/bootswarm/seeder/v1/inventory_pb.js";
import type { Swarm } from "../../swarm/swarm.ts";
import type { Endpoint } from "../../swarm/types.ts";
import { hostOf } from "../seeders/seeder-urls.ts";

/** Bootstrap nodes taken from one answer of the inventory. */
const endpointsMax = 64;
/** Images of which peers are taken from one answer: more than are fetched at once. */
const imagesMax = 64;

/** The ways into the swarm that the seeder tells: DHT nodes to join by, and peers that hold every image. */
export class SwarmEntry {
  readonly #seederUrl: () => string;
  #told = "";
  #peers: Endpoint[] = [];

  /** @param seederUrl the seeder that tells */
  constructor(seederUrl: () => string) {
    this.#seederUrl = seederUrl;
  }

  /** Peers that hold every image, as last told. */
  get peers(): Endpoint[] {
    return this.#peers;
  }

  /** Takes in what the seeder tells. The DHT is joined anew if that has changed, or the node has lost all others. */
  learn(endpoints: readonly SwarmEndpoint[], swarm: Swarm): void {
    const seederHost = hostOf(this.#seederUrl());
    const usable = endpoints.slice(0, endpointsMax).map((endpoint) => ({
      host: endpoint.host || seederHost,
      dhtPort: endpoint.dhtPort,
      peerPort: endpoint.peerPort,
    }));
    this.#peers = usable
      .filter(({ peerPort }) => isPort(peerPort))
      .map(({ host, peerPort }) => ({ host, port: peerPort }));
    const nodes = usable.filter(({ dhtPort }) => isPort(dhtPort)).map(({ host, dhtPort }) => ({ host, port: dhtPort }));
    const told = JSON.stringify(nodes);
    if (nodes.length === 0 || (told === this.#told && swarm.status().dhtNodes > 0)) return;
    this.#told = told;
    swarm.addBootstrap(nodes);
  }
}

/** Names peers that the seeder tells of to the torrents of images that are being fetched. */
export function nameImagePeers(told: readonly ImagePeers[], infohashOf: InfohashOf, swarm: Swarm): void {
  for (const { digest, peers } of told.slice(0, imagesMax)) {
    const torrent = swarm.get(infohashOf(digest) ?? "");
    if (!torrent || torrent.isComplete) continue;
    for (const { host, port } of peers.slice(0, endpointsMax)) if (isPort(port)) torrent.addPeer({ host, port });
  }
}

/** The infohash of an image that is here or on its way. */
type InfohashOf = (digest: string) => string | undefined;

function isPort(port: number): boolean {
  return port >= 1 && port <= 65_535;
}
