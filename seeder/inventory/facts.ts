/** What nodes say of themselves, as plain data. */

import type { Fetch } from "../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import type { Endpoint } from "../../swarm/types.ts";

export interface NodeFacts {
  id: string;
  /** The node's name for people. */
  name: string;
  /** URL of the agent's API; empty if no other machine can reach it. */
  apiUrl: string;
  version: string;
  /** Where the node is; empty if it does not say. */
  zone: string;
  cacheBytes: number;
  diskFreeBytes: number;
  diskSizeBytes: number;
  /** Time between reports when nothing changes. */
  reportIntervalMs: number;
}

/** An image that is complete on a node. */
export interface HoldingFacts {
  digest: string;
  allocatedBytes: number;
  pinned: boolean;
  lastUsedAtMs: number | undefined;
}

/** What a node's last report said of it, holdings aside, as seeders tell each other and remember it. */
export interface SharedNode {
  node: NodeFacts;
  epoch: bigint;
  sequence: bigint;
  reportedAtMs: number;
  /** How long after that the node counts as up. */
  leaseMs: number;
  peer: Endpoint | undefined;
  fetches: Fetch[];
  /** The seeder that took the report. */
  seederId: string;
}

/** What has changed of a node's holdings, or all of them in the place of what was there. */
export type HoldingsChange =
  | { all: readonly HoldingFacts[] }
  | { changed: readonly HoldingFacts[]; removed: readonly string[] };

/** A report, checked. */
export interface NodeReport {
  node: NodeFacts;
  epoch: bigint;
  sequence: bigint;
  full: boolean;
  holdings: HoldingFacts[];
  removedDigests: string[];
  /** Of all that the node holds once this is taken; undefined from an old agent. */
  holdingsChecksum: bigint | undefined;
  /** Where the node serves peers; undefined if it does not, or nobody can tell. */
  peer: Endpoint | undefined;
  /** Pieces that failed their hash since the agent's start. */
  pieceVerifyFailures: number;
  /** The API's own message: the inventory passes it on and reads its digest, state and bytes only. */
  fetches: Fetch[];
  /** What the node allows of prefetching; undefined from an old agent, which knows nothing of it. */
  prefetch?: PrefetchAllowanceFacts | undefined;
  /** What directives have told of and has not come yet. */
  prefetches?: ReportedPrefetchFacts[];
}

export interface PrefetchAllowanceFacts {
  /** Whether the node does what popularity plans. */
  enabled: boolean;
  budgetBytes: number;
  usedBytes: number;
  /** What fits without anything being evicted. */
  roomBytes: number;
}

export interface ReportedPrefetchFacts {
  digest: string;
  /** The operator's prefetch; empty for one that popularity has planned. */
  prefetchId: string;
  /** Why it has failed; undefined while it is under way. */
  error: string | undefined;
}
