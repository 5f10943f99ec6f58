/** Nodes' parts in images, read from the images' side: who has one, who is fetching it, and where its peers are. */
import type { Endpoint } from "../../swarm/types.ts";
import type { ImageIndex } from "./image-index.ts";
import { someImagePeers } from "./image-peers.ts";
import { imagesToldMax, peersEnough, peersTold } from "./limits.ts";
import { byProgress, isActive, type NodePart, type NodeRecord, stateOf } from "./node-view.ts";

/** How many hold an image, and how many fetch it. */
export interface PartCounts {
  holding: number;
  fetching: number;
}

export class ImageParts {
  readonly #images: ImageIndex<NodeRecord>;

  constructor(images: ImageIndex<NodeRecord>) {
    this.#images = images;
  }

  /** Lost nodes included. */
  counts(digest: string): PartCounts {
    const image = this.#images.find(digest);
    return { holding: image?.holders.length ?? 0, fetching: image?.fetching.items.length ?? 0 };
  }

  /** Of the nodes that are up, by zone. */
  countsByZone(digest: string, nowMs: number): Map<string, PartCounts> {
    const counts = new Map<string, PartCounts>();
    const image = this.#images.find(digest);
    const count = (records: readonly NodeRecord[], part: keyof PartCounts) => {
      for (const record of records) {
        if (stateOf(record, nowMs) === "lost") continue;
        const { zone } = record.node;
        let zoned = counts.get(zone);
        if (!zoned) {
          zoned = { holding: 0, fetching: 0 };
          counts.set(zone, zoned);
        }
        zoned[part]++;
      }
    };
    count(image?.holders ?? [], "holding");
    count(image?.fetching.items ?? [], "fetching");
    return counts;
  }

  /** A node's part in an image; undefined if it has none. A lost node's fetch is none. */
  of(record: NodeRecord, digest: string, nowMs: number): NodePart | undefined {
    const image = this.#images.find(digest);
    if (!image) return undefined;
    const holding = this.#images.holding(record, image);
    const state = stateOf(record, nowMs);
    const counts = !holding && state === "up";
    const fetch = counts ? record.fetches.find((fetch) => fetch.digest === digest) : undefined;
    return holding || fetch ? { node: record.node, state, holding, fetch } : undefined;
  }

  /** Who has an image, then who is fetching it, most advanced first; equals by name. Lost nodes after others. */
  all(digest: string, nowMs: number): NodePart[] {
    const image = this.#images.find(digest);
    if (!image) return [];
    const records = new Set([...image.holders, ...image.fetching.items]);
    return [...records].flatMap((record) => this.of(record, digest, nowMs) ?? []).sort(byProgress);
  }

  /** Peers of the images that a node is fetching and has few peers of. */
  peersFor(asker: NodeRecord, nowMs: number, random: () => number): { digest: string; peers: Endpoint[] }[] {
    return asker.fetches
      .filter((fetch) => isActive(fetch) && fetch.peers < peersEnough)
      .slice(0, imagesToldMax)
      .map(({ digest }) => ({ digest, peers: this.somePeers(digest, asker, nowMs, random) }))
      .filter(({ peers }) => peers.length > 0);
  }

  /** Some of the nodes that have an image or are fetching it, but the one that asks. */
  somePeers(digest: string, asker: NodeRecord | undefined, nowMs: number, random: () => number): Endpoint[] {
    const image = this.#images.find(digest);
    const holders = image?.holders ?? [];
    const fetching = image?.fetching.items ?? [];
    const endpointAt = (index: number) => {
      const record = (index < holders.length ? holders[index] : fetching[index - holders.length]) as NodeRecord;
      if (record === asker || stateOf(record, nowMs) === "lost") return undefined;
      const takesPart =
        index < holders.length || record.fetches.some((fetch) => fetch.digest === digest && isActive(fetch));
      return takesPart ? record.peer : undefined;
    };
    return someImagePeers({ count: holders.length + fetching.length, endpointAt }, asker?.peer, peersTold, random);
  }
}
