/**
 * Where virtual machines had best be started: finds the hosts asked for, gathers what is known of each, has it weighed,
 * and takes in what is told of launches.
 */
import { Problem } from "../../daemon/problem.ts";
import type { NodeFacts } from "../inventory/facts.ts";
import type { Inventory } from "../inventory/inventory.ts";
import { textHash } from "../inventory/text-hash.ts";
import type { Launches } from "../prefetch/launches.ts";
import { HostCases, hostCaseOf, type PlacedNode } from "./host-cases.ts";
import { HostFinder, notFound, unclear } from "./host-finder.ts";
import type { LaunchIds } from "./launch-ids.ts";
import { launchAgeMsMax, launchAheadMsMax } from "./limits.ts";
import { bestFirst } from "./order.ts";
import { type HostReason, hostReasons, reasonOf } from "./reasons.ts";
import type { RecentLaunches } from "./recent-launches.ts";
import { type HostCase, precedence, type WeighedCase, type WeighOptions, weighCases } from "./weigh.ts";

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

/** What came of a request; hosts go by their places, the best first, so that of thousands only what is asked for is read. */
export interface Weighing {
  /** How many are told, which is as many as are wanted. */
  told: number;
  /** As it was asked for. */
  hostAt: (place: number) => string;
  /** Undefined where no node answers to the host. For use at once. */
  nodeAt: (place: number) => NodeFacts | undefined;
  /** The same object for all hosts of which the same counts. */
  weighedAt: (place: number) => WeighedCase<HostCase>;
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
    const { inventory, recentLaunches } = this.#parts;
    const cases = new HostCases(inventory, { digest, bootDigest }, recentLaunches, nowMs);
    const gathered = hosts.length === 0 ? this.#all(zone, nowMs) : this.#named(hosts, zone, nowMs);
    const caseOf = this.#casesOf(gathered, cases, nowMs);
    const weighed = weighCases(cases.cases, options);
    const { slots, size, nameOf } = gathered;
    const { columns } = inventory;
    const hashOf = (index: number) => {
      const slot = slots[index] as number;
      return slot < 0 ? textHash(nameOf(index)) : columns.idHash(slot);
    };
    const ordered = { size, caseOf, precedences: weighed.map(precedence), nameOf, hashOf };
    const best = bestFirst(ordered, seed, count === 0 ? size : count);
    const indexAt = (place: number) => best[place] as number;
    return {
      told: best.length,
      hostAt: (place) => nameOf(indexAt(place)),
      nodeAt: (place) => columns.records[slots[indexAt(place)] as number]?.node,
      weighedAt: (place) => weighed[caseOf[indexAt(place)] as number] as WeighedCase<HostCase>,
      size,
      counts: countReasons(cases.cases, caseOf),
    };
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
    const nodeId = placed.node.id;
    const { inventory, recentLaunches } = this.#parts;
    const held = { image: inventory.partOf(nodeId, digest, nowMs)?.holding !== undefined, bootImage: false };
    const facts = hostCaseOf(placed, held, { digest, bootDigest: undefined }, recentLaunches, nowMs);
    const found = reasonOf(facts);
    if (!isKnown && facts.part.kind === "absent") {
      throw new Problem("not-found", `there is no image ${digest} in the catalog, nor on ${placed.node.name}`);
    }
    const counted = this.#parts.launchIds.add(launchId, nowMs);
    if (counted) this.#parts.launches.record({ digest, nodeId, atMs: launchedAtMs, count, launchId });
    return { nodeId, counted, found };
  }

  /** All nodes that are up. */
  #all(zone: string, nowMs: number): GatheredHosts {
    const { inventory } = this.#parts;
    const { records } = inventory.columns;
    const slots = new Int32Array(records.length);
    let size = 0;
    for (let slot = 0; slot < records.length; slot++) {
      if (inventory.isUp(slot, nowMs) && this.#isIn(zone, slot)) slots[size++] = slot;
    }
    return { size, slots, nameOf: (index) => (records[slots[index] as number] as PlacedNode).node.name };
  }

  #named(hosts: readonly string[], zone: string, nowMs: number): GatheredHosts {
    const slots = this.#finder.slotsOf(hosts, nowMs);
    if (zone === "") return { size: hosts.length, slots, nameOf: (index) => hosts[index] as string };
    const inZone = hosts.filter((_, index) => this.#isIn(zone, slots[index] as number));
    return {
      size: inZone.length,
      slots: slots.filter((slot) => this.#isIn(zone, slot)),
      nameOf: (index) => inZone[index] as string,
    };
  }

  #isIn(zone: string, slot: number): boolean {
    return zone === "" || this.#parts.inventory.columns.records[slot]?.node.zone === zone;
  }

  #casesOf({ size, slots, nameOf }: GatheredHosts, cases: HostCases, nowMs: number): Uint32Array {
    const caseOf = new Uint32Array(size);
    for (let index = 0; index < size; index++) {
      const slot = slots[index] as number;
      if (slot >= 0) caseOf[index] = cases.of(slot);
      else if (slot === notFound) caseOf[index] = cases.unknown();
      else if (slot === unclear) caseOf[index] = cases.unclear(this.#ambiguous(nameOf(index), nowMs));
    }
    return caseOf;
  }

  #ambiguous(host: string, nowMs: number): string {
    return ambiguous(host, this.#finder.find(host, nowMs));
  }
}

/** Hosts that are to be weighed, by index. */
interface GatheredHosts {
  size: number;
  /** Of their nodes in the inventory, or what HostFinder says in its place. */
  slots: Int32Array;
  /** As they were asked for. */
  nameOf: (index: number) => string;
}

function countReasons(cases: readonly HostCase[], caseOf: Uint32Array): Record<HostReason, number> {
  const sizes = new Uint32Array(cases.length);
  for (const number of caseOf) sizes[number] = (sizes[number] as number) + 1;
  const counts = Object.fromEntries(hostReasons.map((reason) => [reason, 0])) as Record<HostReason, number>;
  for (const [number, facts] of cases.entries()) counts[reasonOf(facts)] += sizes[number] as number;
  return counts;
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
