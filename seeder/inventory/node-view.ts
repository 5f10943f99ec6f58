import type { Fetch } from "../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import { FetchState } from "../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import type { Endpoint } from "../../swarm/types.ts";
import type { HoldingFacts, NodeFacts } from "./facts.ts";
import type { HeldImages } from "./held-images.ts";

/** What the inventory keeps of a node. */
export interface NodeRecord {
  node: NodeFacts;
  /** Its number in the inventory's columns; -1 before it has one. */
  slot: number;
  reportedAtMs: number;
  /** How long after that it counts as up. */
  leaseMs: number;
  held: HeldImages;
  /** Of all it holds; undefined until it is asked for. */
  checksum: bigint | undefined;
  fetches: Fetch[];
  /** Where it serves peers. */
  peer: Endpoint | undefined;
  /** Undefined until the node has told this inventory what it holds, or that it is what is known. */
  epoch: bigint | undefined;
  previousEpoch: bigint | undefined;
  sequence: bigint;
  /** The last report, whether its changes were taken or not. */
  told: { epoch: bigint; sequence: bigint };
  /** The seeder that took it; empty for this one. */
  seederId: string;
  /** Of a node that reports to another seeder: when that was last heard of. The time since then says nothing of it. */
  elsewhere: { heardAtMs: number } | undefined;
}

/** A node as it is at one time; reads the inventory's own record, so it is for use at once. */
export class NodeView {
  readonly node: NodeFacts;
  readonly state: "up" | "lost";
  readonly reportedAtMs: number;
  /** How many images it holds. */
  readonly images: number;
  /** Empty for a lost node: nobody knows what became of them. */
  readonly fetches: readonly Fetch[];
  readonly #holdings: () => HoldingFacts[];

  constructor(record: NodeRecord, nowMs: number, holdings: () => HoldingFacts[]) {
    this.node = record.node;
    this.state = stateOf(record, nowMs);
    this.reportedAtMs = record.reportedAtMs;
    this.images = record.held.count;
    this.fetches = this.state === "lost" ? [] : record.fetches;
    this.#holdings = holdings;
  }

  /** All that it holds, unpacked at each call. */
  get holdings(): HoldingFacts[] {
    return this.#holdings();
  }
}

/** One node's part in an image: a holding, or else a fetch. */
export interface NodePart {
  node: NodeFacts;
  state: "up" | "lost";
  holding: HoldingFacts | undefined;
  fetch: Fetch | undefined;
}

export function stateOf({ reportedAtMs, leaseMs, elsewhere }: NodeRecord, nowMs: number): "up" | "lost" {
  const asOfMs = elsewhere ? Math.min(nowMs, elsewhere.heardAtMs) : nowMs;
  return asOfMs - reportedAtMs > leaseMs ? "lost" : "up";
}

/** Whether a fetch takes one of its node's active places. */
export function isActive(fetch: Fetch): boolean {
  return fetch.state === FetchState.ACTIVE || fetch.state === FetchState.VERIFYING;
}

/** Who has an image, then who is fetching it, most advanced first; lost nodes after others, equals by name. */
export function byProgress(a: NodePart, b: NodePart): number {
  if (a.holding && b.holding && a.state !== b.state) return a.state === "up" ? -1 : 1;
  if (Boolean(a.holding) !== Boolean(b.holding)) return a.holding ? -1 : 1;
  const ahead = Number((b.fetch?.doneBytes ?? 0n) - (a.fetch?.doneBytes ?? 0n));
  return ahead || byName(a.node, b.node);
}

export function byName(a: Pick<NodeFacts, "name" | "id">, b: Pick<NodeFacts, "name" | "id">): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}
