/** The inventory's plain data as API messages. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { FetchState } from "../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import {
  type HoldingSchema,
  type NodeHoldingSchema,
  type NodeSchema,
  NodeState,
  type NodeStatusSchema,
} from "../../proto/gen/bootswarm/seeder/v1/inventory_pb.js";
import type { HoldingFacts, NodeFacts } from "../inventory/facts.ts";
import { isActive, type NodePart, type NodeView } from "../inventory/node-view.ts";

const states = { up: NodeState.UP, lost: NodeState.LOST } as const;

/** The state asked for; undefined for any. */
export function stateAsked(state: NodeState): "up" | "lost" | undefined {
  return state === NodeState.UP ? "up" : state === NodeState.LOST ? "lost" : undefined;
}

export function nodeStatusMessage(view: NodeView): MessageInitShape<typeof NodeStatusSchema> {
  return {
    node: nodeMessage(view.node),
    state: states[view.state],
    reportedAt: timestampFromMs(view.reportedAtMs),
    images: view.images,
    fetchesActive: view.fetches.filter(isActive).length,
    fetchesQueued: view.fetches.filter((fetch) => fetch.state === FetchState.QUEUED).length,
  };
}

export function holdingMessage(holding: HoldingFacts): MessageInitShape<typeof HoldingSchema> {
  return {
    digest: holding.digest,
    allocatedBytes: BigInt(holding.allocatedBytes),
    pinned: holding.pinned,
    lastUsedAt: holding.lastUsedAtMs === undefined ? undefined : timestampFromMs(holding.lastUsedAtMs),
  };
}

export function nodeHoldingMessage(part: NodePart): MessageInitShape<typeof NodeHoldingSchema> {
  return {
    nodeId: part.node.id,
    nodeName: part.node.name,
    nodeState: states[part.state],
    holding: part.holding && holdingMessage(part.holding),
    fetch: part.fetch,
  };
}

function nodeMessage(node: NodeFacts): MessageInitShape<typeof NodeSchema> {
  return {
    id: node.id,
    name: node.name,
    apiUrl: node.apiUrl,
    version: node.version,
    zone: node.zone,
    cacheBytes: BigInt(node.cacheBytes),
    diskFreeBytes: BigInt(node.diskFreeBytes),
    diskSizeBytes: BigInt(node.diskSizeBytes),
    reportIntervalMs: node.reportIntervalMs,
  };
}
