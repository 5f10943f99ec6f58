/**
 * Launches of late by node: how hot each is, and which images are about to be fetched there. A state machine over
 * launches; the time comes with each call. A launch counts 1 when it happens and half as much after each half-life.
 */
import { nodesMax } from "../inventory/limits.ts";
import type { Launch, Launches } from "../prefetch/launches.ts";
import { imagesExpectedMax } from "./limits.ts";

/**
 * How long a launch stands for a fetch that is not yet reported: a compute service takes seconds to get to the image, an
 * agent reports a new fetch within a second.
 */
const expectedMs = 30_000;

/** What has cooled down to this is forgotten when there is need of room. */
const heatMin = 0.01;

interface NodeHeat {
  /** As of `atMs`. */
  launches: number;
  atMs: number;
  /** When each image was last launched here; the oldest first. */
  images: Map<string, number>;
}

export class RecentLaunches implements Launches {
  readonly #nodes = new Map<string, NodeHeat>();
  readonly #halfLifeMs: number;
  readonly #nodesMax: number;

  constructor(halfLifeMs: number, heatedNodesMax = nodesMax) {
    this.#halfLifeMs = halfLifeMs;
    this.#nodesMax = heatedNodesMax;
  }

  record({ digest, nodeId, atMs, count }: Launch): void {
    const heat = this.#nodes.get(nodeId) ?? { launches: 0, atMs, images: new Map<string, number>() };
    // Launches may be told out of order, by clocks that differ: each counts as of its own time.
    const latestMs = Math.max(heat.atMs, atMs);
    heat.launches = heat.launches * this.#decay(latestMs - heat.atMs) + count * this.#decay(latestMs - atMs);
    heat.atMs = latestMs;
    const lastMs = Math.max(atMs, heat.images.get(digest) ?? atMs);
    heat.images.delete(digest);
    heat.images.set(digest, lastMs);
    if (heat.images.size > imagesExpectedMax) heat.images.delete(first(heat.images.keys()));
    // The node launched on last is last in the map, so that room is made of those at rest.
    this.#nodes.delete(nodeId);
    this.#nodes.set(nodeId, heat);
    this.#makeRoom(atMs);
  }

  /** Launches on a node, each counting less as time goes by. */
  launchesOn(nodeId: string, nowMs: number): number {
    const heat = this.#nodes.get(nodeId);
    return heat ? heat.launches * this.#decay(nowMs - heat.atMs) : 0;
  }

  /** Whether the image was launched on the node moments ago. */
  isExpected(nodeId: string, digest: string, nowMs: number): boolean {
    const lastMs = this.#nodes.get(nodeId)?.images.get(digest);
    return lastMs !== undefined && nowMs - lastMs < expectedMs;
  }

  /** Nodes of which there is anything to be asked: of thousands, most are at rest. */
  nodeIds(): Iterable<string> {
    return this.#nodes.keys();
  }

  #decay(elapsedMs: number): number {
    return elapsedMs <= 0 ? 1 : 2 ** (-elapsedMs / this.#halfLifeMs);
  }

  /** Nodes that were launched on longest ago go first; cold ones at the front go in any case. */
  #makeRoom(nowMs: number): void {
    for (const [nodeId, heat] of this.#nodes) {
      const isCold = heat.launches * this.#decay(nowMs - heat.atMs) < heatMin && nowMs - heat.atMs > expectedMs;
      if (!isCold && this.#nodes.size <= this.#nodesMax) return;
      this.#nodes.delete(nodeId);
    }
  }
}

function first<T>(values: Iterable<T>): T {
  for (const value of values) return value;
  throw new Error("nothing to take the first of");
}
