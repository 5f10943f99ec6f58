/** Where the seeders of a catalog are, in the words in which nodes and catalogs are told. */
import { isLoopback } from "../../swarm/endpoint.ts";
import type { Endpoint } from "../../swarm/types.ts";
import type { Roster } from "./roster.ts";

/** A place in the swarm. */
export interface Place {
  /** Empty for the one by which the API was reached. */
  host: string;
  dhtPort: number;
  peerPort: number;
}

export class SeederPlaces {
  readonly #roster: Pick<Roster, "live" | "counts">;
  readonly #self: Place;

  constructor(roster: Pick<Roster, "live" | "counts">, self: Place) {
    this.#roster = roster;
    this.#self = self;
  }

  /** Live seeders that hold an image, as peers, where their addresses are known; and how many hold it. */
  whereabouts(digest: string): { peers: Endpoint[]; replicas: number; away: number } {
    const others = this.#others().filter(({ images }) => images.has(digest));
    const { host, peerPort } = this.#self;
    const self = host === "" ? [] : [{ host, port: peerPort }];
    const peers = [...self, ...others.map((other) => ({ host: other.host, port: other.peerPort }))];
    return { peers, ...this.#roster.counts(digest) };
  }

  /** The ways into the swarm: this seeder first. */
  endpoints(): Place[] {
    return [this.#self, ...this.#others().map(({ host, dhtPort, peerPort }) => ({ host, dhtPort, peerPort }))];
  }

  /** URLs for a node at that address: none of loopback, unless it is on this machine; none at all of a single seeder. */
  urlsFor(address: string | undefined): string[] {
    const live = this.#roster.live();
    if (live.length < 2) return [];
    const isLocal = address !== undefined && isLoopback(address);
    return live
      .map(({ url }) => url)
      .filter((url) => url !== "" && (isLocal || !isLoopback(new URL(url).hostname.replace(/^\[|\]$/g, ""))));
  }

  #others() {
    return this.#roster.live().filter(({ isSelf }) => !isSelf);
  }
}
