/** Nodes and holdings as rows of the database. */
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { base64Decode, base64Encode } from "@bufbuild/protobuf/wire";
import { FetchSchema } from "../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import type { Endpoint } from "../../swarm/types.ts";
import type { HoldingFacts, NodeFacts, SharedNode } from "../inventory/facts.ts";
import type { Database } from "./schema.ts";

export type NodeRow = Omit<Database["nodes"], "change" | "holdings_change" | "removals_change">;
export type HoldingRow = Omit<Database["holdings"], "change">;

/** What an older seeder did not know of a node. */
const factsDefault: NodeFacts = {
  id: "",
  name: "",
  apiUrl: "",
  version: "",
  zone: "",
  cacheBytes: 0,
  diskFreeBytes: 0,
  diskSizeBytes: 0,
  reportIntervalMs: 10_000,
};

export function nodeRow(node: SharedNode): NodeRow {
  return {
    id: node.node.id,
    facts: JSON.stringify(node.node),
    epoch: node.epoch.toString(),
    // More reports than 2^53 no agent sends; one that says so keeps its place.
    sequence: Math.min(Number(node.sequence), Number.MAX_SAFE_INTEGER),
    reported_at_ms: Math.round(node.reportedAtMs),
    lease_ms: Math.round(node.leaseMs),
    peer: node.peer ? JSON.stringify(node.peer) : "",
    fetches: JSON.stringify(node.fetches.map((fetch) => base64Encode(toBinary(FetchSchema, fetch)))),
    seeder_id: node.seederId,
  };
}

export function nodeFrom(row: NodeRow): SharedNode {
  const node: NodeFacts = { ...factsDefault, ...(JSON.parse(row.facts || "{}") as Partial<NodeFacts>), id: row.id };
  const fetches = JSON.parse(row.fetches || "[]") as string[];
  return {
    node,
    epoch: BigInt(row.epoch || 0),
    sequence: BigInt(row.sequence),
    reportedAtMs: row.reported_at_ms,
    leaseMs: row.lease_ms,
    peer: row.peer === "" ? undefined : (JSON.parse(row.peer) as Endpoint),
    fetches: fetches.map((bytes) => fromBinary(FetchSchema, base64Decode(bytes))),
    seederId: row.seeder_id,
  };
}

export function holdingRow(nodeId: string, holding: HoldingFacts): HoldingRow {
  return {
    node_id: nodeId,
    digest: holding.digest,
    allocated_bytes: holding.allocatedBytes,
    pinned: holding.pinned ? 1 : 0,
    last_used_at_ms: holding.lastUsedAtMs ?? null,
  };
}

export function holdingFrom(row: HoldingRow): HoldingFacts {
  return {
    digest: row.digest,
    allocatedBytes: row.allocated_bytes,
    pinned: row.pinned !== 0,
    lastUsedAtMs: row.last_used_at_ms ?? undefined,
  };
}
