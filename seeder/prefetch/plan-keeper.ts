/** The plan of each zone, made anew from time to time out of what is popular, what is where and what nodes allow. */
import type { Inventory } from "../inventory/inventory.ts";
import type { PrefetchConfig } from "./config.ts";
import { beginWithinMs, fetchBytesPerSecondMin, restMs, restsMax } from "./limits.ts";
import type { NodeReports } from "./node-reports.ts";
import { type PlanImage, type PlanNode, planZone, type Standing, type ZonePlan } from "./plan.ts";
import type { PlannedCopy } from "./planned-copy.ts";
import type { Popularity } from "./popularity.ts";

/** Images looked at in one go: between them others have their turn. */
const imagesPerTurn = 10;

/** An image of the catalog that may be launched. */
export interface LaunchableImage {
  digest: string;
  names: readonly string[];
  sizeBytes: number;
}

export interface PlanSources {
  inventory: Inventory;
  reports: NodeReports;
  popularity: Popularity;
  /** All but boot images. */
  images: () => Promise<LaunchableImage[]>;
  config: PrefetchConfig;
  nowMs: () => number;
  /** Has this seeder plan while no other does, and tells each what the others have planned. */
  planAlone: (plan: (others: readonly PlannedCopy[]) => Promise<readonly PlannedCopy[]>) => Promise<void>;
}

/** An image that is to go to a node that reports here. */
export interface Assigned extends PlannedCopy {
  missesAverted: number;
  /** For each such fetch; 0 is no limit. */
  bytesPerSecondMax: number;
}

/** A zone's plan with what it was made of. */
export interface KeptPlan extends ZonePlan {
  zone: string;
  nodes: number;
  nodesAllowing: number;
  budgetBytes: number;
  usedBytes: number;
}

interface ZoneNodes {
  count: number;
  budgetBytes: number;
  usedBytes: number;
  allowing: PlanNode[];
}

export class PlanKeeper {
  readonly #sources: PlanSources;
  /** By node: one each. */
  #assigned = new Map<string, Assigned>();
  /** What other seeders had planned when this one planned last. */
  #elsewhere: readonly PlannedCopy[] = [];
  #plans: KeptPlan[] = [];
  #plannedAtMs: number | undefined;
  /** When a node may be given an image again, by both. */
  readonly #rests = new Map<string, number>();
  /** Last withdrawn from each node, until it gets something else. */
  readonly #withdrawn = new Map<string, string>();
  #names = new Map<string, readonly string[]>();

  constructor(sources: PlanSources) {
    this.#sources = sources;
  }

  /** When it was last made. */
  get plannedAtMs(): number | undefined {
    return this.#plannedAtMs;
  }

  /** By zone. */
  get plans(): readonly KeptPlan[] {
    return this.#plans;
  }

  /** Whether a prefetch of the node was planned once and is to end. */
  isWithdrawn(nodeId: string, digest: string): boolean {
    return this.#withdrawn.get(nodeId) === digest;
  }

  /** What is to go to the node. */
  assignedTo(nodeId: string): Assigned | undefined {
    return this.#assigned.get(nodeId);
  }

  /** All that is to go somewhere, of a zone, whoever has planned it. */
  planned(zone: string): PlannedCopy[] {
    return [...this.#assigned.values(), ...this.#elsewhere].filter((each) => each.zone === zone);
  }

  get assignedCount(): number {
    return this.#assigned.size;
  }

  namesOf(digest: string): readonly string[] {
    return this.#names.get(digest) ?? [];
  }

  /** The node has refused an image, or given it up: it is left alone with that for a while. */
  refused(nodeId: string, digest: string): void {
    if (this.#assigned.get(nodeId)?.digest === digest) this.#assigned.delete(nodeId);
    const key = `${nodeId} ${digest}`;
    if (this.#rests.has(key)) return;
    this.#rests.set(key, this.#sources.nowMs() + restMs);
    if (this.#rests.size > restsMax) this.#rests.delete(this.#rests.keys().next().value as string);
  }

  /** Makes the plan of every zone. */
  async remake(): Promise<void> {
    const { images: load, popularity, nowMs } = this.#sources;
    popularity.forgetOld(nowMs());
    for (const [key, untilMs] of this.#rests) if (untilMs <= nowMs()) this.#rests.delete(key);
    const images = await load();
    this.#names = new Map(images.map(({ digest, names }) => [digest, names]));
    await this.#sources.planAlone(async (planned) => {
      this.#elsewhere = planned.filter((each) => this.#isElsewhere(each));
      const byZone = await this.#countCopies(images);
      const zones = this.#nodesByZone();
      const done = this.#dropDone();
      this.#adopt();
      const plans: KeptPlan[] = [];
      for (const [zone, nodes] of [...zones].sort(([a], [b]) => (a < b ? -1 : 1))) {
        await othersTurn();
        plans.push(this.#planZone(zone, nodes, byZone.get(zone) ?? []));
      }
      this.#plans = plans;
      // Of zones that have no nodes any more.
      for (const [nodeId, { zone }] of this.#assigned) if (!zones.has(zone)) this.#assigned.delete(nodeId);
      this.#plannedAtMs = nowMs();
      // What has just come the others may not know of yet.
      return [...this.#assigned.values(), ...done];
    });
  }

  /** Whether another seeder's plan is yet to be fulfilled, on a node that is not ours meanwhile. */
  #isElsewhere({ nodeId, zone, digest }: PlannedCopy): boolean {
    const { inventory, reports, nowMs } = this.#sources;
    const node = inventory.lookup(nodeId, nowMs());
    if (node?.state !== "up" || node.node.zone !== zone || reports.has(nodeId)) return false;
    return inventory.partOf(nodeId, digest, nowMs())?.holding === undefined;
  }

  #planZone(zone: string, nodes: ZoneNodes, images: PlanImage[]): KeptPlan {
    const { inventory, config, nowMs } = this.#sources;
    const standingOf = (planned: Iterable<PlannedCopy>): Standing[] =>
      [...planned]
        .filter((each) => each.zone === zone)
        .map(({ digest, nodeId }) => ({
          ...{ digest, nodeId },
          isBegun: inventory.partOf(nodeId, digest, nowMs())?.fetch !== undefined,
        }));
    const underWayMax = underWayMaxOf(config.zoneBytesPerSecondMax, nodes.count);
    const plan = planZone({
      rules: { ...config, underWayMax },
      nodeCount: nodes.count,
      nodes: nodes.allowing,
      images,
      standing: standingOf(this.#assigned.values()),
      others: standingOf(this.#elsewhere),
      isBarred: (nodeId, digest) => this.#isBarred(nodeId, digest),
    });
    for (const { nodeId, digest } of plan.withdrawn) {
      this.#assigned.delete(nodeId);
      this.#withdrawn.set(nodeId, digest);
    }
    const bytesPerSecondMax = Math.floor(config.zoneBytesPerSecondMax / underWayMax);
    for (const { digest, nodeId, missesAverted } of plan.assignments) {
      const known = this.#assigned.get(nodeId);
      const plannedAtMs = known?.digest === digest ? known.plannedAtMs : nowMs();
      this.#withdrawn.delete(nodeId);
      this.#assigned.set(nodeId, { digest, nodeId, zone, missesAverted, bytesPerSecondMax, plannedAtMs });
    }
    const { count, allowing, budgetBytes, usedBytes } = nodes;
    return { ...plan, zone, nodes: count, nodesAllowing: allowing.length, budgetBytes, usedBytes };
  }

  #isBarred(nodeId: string, digest: string): boolean {
    const { inventory, reports, nowMs } = this.#sources;
    if (this.#rests.has(`${nodeId} ${digest}`) || reports.of(nodeId).prefetches.has(digest)) return true;
    return inventory.partOf(nodeId, digest, nowMs()) !== undefined;
  }

  /** Copies of each image that is launched in a zone, by zone. */
  async #countCopies(images: readonly LaunchableImage[]): Promise<Map<string, PlanImage[]>> {
    const { inventory, popularity, nowMs } = this.#sources;
    const atMs = nowMs();
    const byZone = new Map<string, PlanImage[]>(popularity.zones().map((zone) => [zone, []]));
    let looked = 0;
    for (const { digest, sizeBytes } of images) {
      const launched = [...byZone].filter(([zone]) => popularity.score(zone, digest, atMs) > 0);
      if (launched.length === 0) continue;
      if (++looked % imagesPerTurn === 0) await othersTurn();
      const counts = inventory.partCountsByZone(digest, atMs);
      for (const [zone, planned] of launched) {
        const { holding: copies, fetching: copiesComing } = counts.get(zone) ?? { holding: 0, fetching: 0 };
        planned.push({ digest, sizeBytes, score: popularity.score(zone, digest, atMs), copies, copiesComing });
      }
    }
    return byZone;
  }

  #nodesByZone(): Map<string, ZoneNodes> {
    const { inventory, reports, config, nowMs } = this.#sources;
    const zones = new Map<string, ZoneNodes>();
    for (const { node, state, fetches } of inventory.nodes(nowMs())) {
      if (state === "lost") continue;
      const zone = zones.get(node.zone) ?? { count: 0, budgetBytes: 0, usedBytes: 0, allowing: [] };
      zones.set(node.zone, zone);
      zone.count++;
      const { allowance } = reports.of(node.id);
      if (!allowance?.enabled) continue;
      const budgetBytes = Math.floor(allowance.budgetBytes * config.budgetShare);
      const roomBytes = budgetBytes - allowance.usedBytes;
      zone.budgetBytes += budgetBytes;
      zone.usedBytes += allowance.usedBytes;
      zone.allowing.push({ id: node.id, roomBytes, freeBytes: allowance.roomBytes, fetches: fetches.length });
    }
    return zones;
  }

  /** What has come is done, and told; what a node does not begin with, or it has gone with, goes to another. */
  #dropDone(): Assigned[] {
    const { inventory, reports, config, nowMs } = this.#sources;
    const done: Assigned[] = [];
    for (const [nodeId, assigned] of this.#assigned) {
      const { digest, plannedAtMs } = assigned;
      const part = inventory.partOf(nodeId, digest, nowMs());
      const isThere = inventory.lookup(nodeId, nowMs())?.state === "up" && reports.of(nodeId).allowance?.enabled;
      if (part?.holding) done.push(assigned);
      if (part?.holding || !isThere) this.#assigned.delete(nodeId);
      else if (config.mode === "on" && !part && nowMs() - plannedAtMs > beginWithinMs) this.refused(nodeId, digest);
    }
    return done;
  }

  /** What nodes do by a plan of before a restart, or of another seeder, is taken for our own. */
  #adopt(): void {
    const { inventory, reports, nowMs } = this.#sources;
    for (const { node, state } of inventory.nodes(nowMs())) {
      if (state === "lost" || this.#assigned.has(node.id)) continue;
      for (const { digest, prefetchId, error } of reports.of(node.id).prefetches.values()) {
        if (prefetchId !== "" || error !== undefined || this.isWithdrawn(node.id, digest)) continue;
        // A node may tell of an image that has come a moment before it tells that nothing is under way any more.
        if (inventory.partOf(node.id, digest, nowMs())?.holding) continue;
        const terms = { missesAverted: 0, bytesPerSecondMax: 0, plannedAtMs: nowMs() };
        this.#assigned.set(node.id, { digest, nodeId: node.id, zone: node.zone, ...terms });
        break;
      }
    }
  }
}

/** Reports and requests that have come meanwhile go first. */
function othersTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Fetches that share a zone's bytes per second, each with enough to get on. */
function underWayMaxOf(zoneBytesPerSecondMax: number, nodes: number): number {
  if (zoneBytesPerSecondMax === 0) return Math.max(nodes, 1);
  return Math.max(1, Math.min(Math.ceil(zoneBytesPerSecondMax / fetchBytesPerSecondMin), nodes));
}
