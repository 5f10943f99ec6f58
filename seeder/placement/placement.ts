/**
 * Where virtual machines had best be started: finds the hosts asked for, gathers what is known of each, has it weighed,
 * and takes in what is told of launches.
 */
import { Problem } from "../../daemon/problem.ts";
import type { Inventory } from "../inventory/inventory.ts";
import { stateOf } from "../inventory/node-view.ts";
import type { Launches } from "../prefetch/launches.ts";
import { hostFactsOf, type LaunchedImage, type PlacedHost, type PlacedNode, unknownHost } from "./host-facts.ts";
import { HostFinder } from "./host-finder.ts";
import type { LaunchIds } from "./launch-ids.ts";
import { launchAgeMsMax, launchAheadMsMax } from "./limits.ts";
import { type HostReason, hostReasons, reasonOf } from "./reasons.ts";
import type { RecentLaunches } from "./recent-launches.ts";
import { type WeighedHost, type WeighOptions, weighHosts } from "./weigh.ts";

export interface PlacementParts {
  inventory: Inventory;
  /** Where launches are told of. */
  launches: Launches;
  /** What has come of them, and of those told to other replicas. */
  recentLaunches: RecentLaunches;
  /** Those that are known by their ids. */
  launchIds: LaunchIds;
  nowMs: () => number;
}

export interface WeighRequest {
  digest: string;
  /** Of its boot image; undefined if it has none. */
  bootDigest: string | undefined;
  /** Ids or names; empty for all nodes that are up. */
  hosts: readonly string[];
  /** Empty for all zones. */
  zone: string;
  options: WeighOptions;
  seed: bigint;
  /** How many of the best are wanted; 0: all. */
  count: number;
}

export interface Weighing {
  /** As many as are wanted, best first. */
  hosts: WeighedHost<PlacedHost>[];
  /** How many were weighed. */
  size: number;
  counts: Record<HostReason, number>;
}

export interface LaunchReport {
  digest: string;
  host: string;
  count: number;
  /** Now, if undefined. */
  atMs: number | undefined;
  /** Empty if every call counts. */
  launchId: string;
}

export interface LaunchOutcome {
  nodeId: string;
  counted: boolean;
  /** What the node had of the image when the launch was told of. */
  found: HostReason;
}

export class Placement {
  readonly #parts: PlacementParts;
  readonly #finder: HostFinder;

  constructor(parts: PlacementParts) {
    this.#parts = parts;
    this.#finder = new HostFinder(parts.inventory);
  }

  weigh({ digest, bootDigest, hosts, zone, options, seed, count }: WeighRequest): Weighing {
    const nowMs = this.#parts.nowMs();
    const image = this.#image(digest, bootDigest);
    const gathered: PlacedHost[] = [];
    if (hosts.length === 0) {
      for (const record of this.#parts.inventory.records()) {
        if (stateOf(record, nowMs) === "up") gathered.push(this.#facts(record.node.name, record, image, nowMs));
      }
    } else {
      for (const host of hosts) gathered.push(this.#lookUp(host, image, nowMs));
    }
    const wanted = zone === "" ? gathered : gathered.filter(({ node }) => node?.zone === zone);
    const counts = Object.fromEntries(hostReasons.map((reason) => [reason, 0])) as Record<HostReason, number>;
    for (const facts of wanted) counts[reasonOf(facts)]++;
    const best = weighHosts(wanted, options, seed, count === 0 ? wanted.length : count);
    return { hosts: best, size: wanted.length, counts };
  }

  /**
   * Takes a launch in.
   *
   * @param isKnown whether the catalog has the image; otherwise its node must have some of it
   * @throws Problem "not-found" for a host or an image that nobody knows, "conflict" for a host that may be several,
   *   "invalid" for a time that cannot be.
   */
  recordLaunch({ digest, host, count, atMs, launchId }: LaunchReport, isKnown: boolean): LaunchOutcome {
    const nowMs = this.#parts.nowMs();
    const launchedAtMs = launchTime(atMs ?? nowMs, nowMs);
    const [placed, ...others] = this.#finder.find(host, nowMs);
    if (!placed) {
      throw new Problem("not-found", `no node "${host}" has ever reported; \`bootswarm nodes\` (ListNodes) lists them`);
    }
    if (others.length > 0) throw new Problem("conflict", ambiguous(host, [placed, ...others]));
    const facts = this.#facts(host, placed, this.#image(digest, undefined), nowMs);
    const found = reasonOf(facts);
    if (!isKnown && facts.part.kind === "absent") {
      throw new Problem("not-found", `there is no image ${digest} in the catalog, nor on ${placed.node.name}`);
    }
    const nodeId = placed.node.id;
    const counted = this.#parts.launchIds.add(launchId, nowMs);
    if (counted) this.#parts.launches.record({ digest, nodeId, atMs: launchedAtMs, count, launchId });
    return { nodeId, counted, found };
  }

  #image(digest: string, bootDigest: string | undefined): LaunchedImage {
    const { inventory } = this.#parts;
    const isBootHeldBy = bootDigest === undefined ? () => false : inventory.holding(bootDigest);
    return { digest, bootDigest, isHeldBy: inventory.holding(digest), isBootHeldBy };
  }

  #lookUp(host: string, image: LaunchedImage, nowMs: number): PlacedHost {
    const found = this.#finder.find(host, nowMs);
    const [placed] = found;
    if (!placed) return unknownHost(host);
    if (found.length > 1) return unknownHost(host, ambiguous(host, found));
    return this.#facts(host, placed, image, nowMs);
  }

  #facts(host: string, placed: PlacedNode, image: LaunchedImage, nowMs: number): PlacedHost {
    return hostFactsOf(host, placed, image, this.#parts.recentLaunches, nowMs);
  }
}

/** How many nodes are named where a host may be several. */
const namedMax = 5;

function ambiguous(host: string, found: readonly PlacedNode[]): string {
  const some = found.slice(0, namedMax).map(({ node }) => `${node.name} (${node.id})`);
  const more = found.length > namedMax ? ` and ${found.length - namedMax} more` : "";
  return `several nodes may be "${host}": ${some.join(", ")}${more}; ask for one by its id`;
}

function launchTime(atMs: number, nowMs: number): number {
  if (atMs > nowMs + launchAheadMsMax) {
    throw new Problem("invalid", "launched_at: is in the future by this seeder's clock; set both clocks by NTP");
  }
  if (atMs < nowMs - launchAgeMsMax) {
    throw new Problem("invalid", "launched_at: is more than a day ago, and says nothing of now; do not tell of it");
  }
  return Math.min(atMs, nowMs);
}
