/**
 * Where the nodes that have an image, or are fetching it, take part in the swarm: a way to find each other beside the DHT.
 * Pure; the time and the randomness come with each call.
 */
import { isLoopback } from "../../swarm/endpoint.ts";
import type { Endpoint } from "../../swarm/types.ts";

/** Draws for each peer wanted: some nodes are lost, or serve no peers. */
const drawsPerPeer = 4;

interface Place {
  endpoint: Endpoint | undefined;
  /** When the node counts as lost, unless it reports before. */
  lostAtMs: number;
  held: Set<string>;
  fetching: Set<string>;
}

/** What a report tells. */
export interface PlaceReport {
  endpoint: Endpoint | undefined;
  lostAtMs: number;
  /** All that it holds; undefined if that is as it was. */
  held: Iterable<string> | undefined;
  /** What it is fetching now. */
  fetching: Iterable<string>;
}

export class ImagePeers {
  readonly #places = new Map<string, Place>();
  readonly #nodesOf = new Map<string, Bag>();

  report(id: string, report: PlaceReport): void {
    const before = this.#places.get(id);
    const held = report.held ? new Set(report.held) : (before?.held ?? new Set<string>());
    const after = { ...report, held, fetching: new Set(report.fetching) };
    const had = (place: Place | undefined, digest: string) =>
      place !== undefined && (place.held.has(digest) || place.fetching.has(digest));
    for (const digest of digestsOf(before)) if (!had(after, digest)) this.#remove(digest, id);
    for (const digest of digestsOf(after)) if (!had(before, digest)) this.#add(digest, id);
    this.#places.set(id, after);
  }

  forget(id: string): void {
    for (const digest of digestsOf(this.#places.get(id))) this.#remove(digest, id);
    this.#places.delete(id);
  }

  /** Up to `count` of the image's peers, chosen at random, for the node of that id. */
  some(digest: string, forId: string, count: number, nowMs: number, random: () => number): Endpoint[] {
    const ids = this.#nodesOf.get(digest)?.ids ?? [];
    const asker = this.#places.get(forId)?.endpoint;
    const chosen = new Map<string, Endpoint>();
    const draws = ids.length <= count ? ids : drawn(ids, count * drawsPerPeer, random);
    for (const id of draws) {
      const place = this.#places.get(id);
      if (chosen.size >= count) break;
      if (id === forId || !place?.endpoint || place.lostAtMs < nowMs) continue;
      // An address of the seeder's own machine means another machine elsewhere.
      if (isLoopback(place.endpoint.host) && !(asker && isLoopback(asker.host))) continue;
      chosen.set(id, place.endpoint);
    }
    return [...chosen.values()];
  }

  #add(digest: string, id: string): void {
    const bag = this.#nodesOf.get(digest) ?? new Bag();
    this.#nodesOf.set(digest, bag);
    bag.add(id);
  }

  #remove(digest: string, id: string): void {
    const bag = this.#nodesOf.get(digest);
    bag?.remove(id);
    if (bag?.ids.length === 0) this.#nodesOf.delete(digest);
  }
}

/** Ids of which any can be drawn, and any removed, without a look at the others. */
class Bag {
  readonly ids: string[] = [];
  readonly #at = new Map<string, number>();

  add(id: string): void {
    if (this.#at.has(id)) return;
    this.#at.set(id, this.ids.length);
    this.ids.push(id);
  }

  remove(id: string): void {
    const at = this.#at.get(id);
    if (at === undefined) return;
    const last = this.ids.pop() as string;
    this.#at.delete(id);
    if (last === id) return;
    this.ids[at] = last;
    this.#at.set(last, at);
  }
}

function* digestsOf(place: Place | undefined): Iterable<string> {
  if (!place) return;
  yield* place.held;
  for (const digest of place.fetching) if (!place.held.has(digest)) yield digest;
}

function* drawn(ids: readonly string[], draws: number, random: () => number): Iterable<string> {
  for (let draw = 0; draw < draws; draw++) yield ids[Math.floor(random() * ids.length)] as string;
}
