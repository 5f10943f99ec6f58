/** Prefetching as the API's messages say it, and directives as answers to reports carry them. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  DirectiveKind,
  type DirectiveSchema,
  NodePrefetchState,
  PlanMode as PlanModeMessage,
  type PrefetchNodeSchema,
  type PrefetchSchema,
  PrefetchState,
  type ZonePlanSchema,
} from "../../proto/gen/bootswarm/seeder/v1/prefetch_pb.js";
import type { Inventory } from "../inventory/inventory.ts";
import type { PlanMode } from "../prefetch/config.ts";
import type { NodeDirective } from "../prefetch/directives.ts";
import { planRowsToldMax, prefetchNodesToldMax } from "../prefetch/limits.ts";
import {
  nodesWanted,
  type OperatorPrefetch,
  type PrefetchTarget,
  targetCounts,
} from "../prefetch/operator-prefetch.ts";
import type { KeptPlan, PlanKeeper } from "../prefetch/plan-keeper.ts";

export function directiveMessage(directive: NodeDirective): MessageInitShape<typeof DirectiveSchema> {
  const { digest, prefetchId } = directive;
  if (directive.kind === "stop") return { kind: DirectiveKind.STOP, digest, prefetchId };
  const { expectedUses, bytesPerSecondMax } = directive;
  const terms = { expectedUses, bytesPerSecondMax: BigInt(bytesPerSecondMax) };
  return { kind: DirectiveKind.PREFETCH, digest, prefetchId, ...terms };
}

const states: Record<OperatorPrefetch["state"], PrefetchState> = {
  running: PrefetchState.RUNNING,
  done: PrefetchState.DONE,
  failed: PrefetchState.FAILED,
  cancelled: PrefetchState.CANCELLED,
};

/** A prefetch without its nodes. */
export function prefetchMessage(prefetch: OperatorPrefetch) {
  const { ready, failed } = targetCounts(prefetch);
  return {
    id: prefetch.id,
    digest: prefetch.digest,
    name: prefetch.name,
    sizeBytes: BigInt(prefetch.sizeBytes),
    nodeIds: [...prefetch.nodeIds],
    zone: prefetch.zone,
    count: prefetch.count,
    state: states[prefetch.state],
    createdAt: timestampFromMs(prefetch.createdAtMs),
    ...(prefetch.endedAtMs !== undefined && { endedAt: timestampFromMs(prefetch.endedAtMs) }),
    nodesWanted: nodesWanted(prefetch),
    nodesReady: ready,
    nodesFailed: failed,
  } satisfies MessageInitShape<typeof PrefetchSchema>;
}

/** A prefetch with its nodes, those under way first. */
export function prefetchWithNodes(
  prefetch: OperatorPrefetch,
  inventory: Inventory,
  nowMs: number,
): MessageInitShape<typeof PrefetchSchema> {
  const nodes = [...prefetch.targets].map(([id, target]) => nodeMessage(prefetch, id, target, inventory, nowMs));
  const place = new Map(
    [NodePrefetchState.FETCHING, NodePrefetchState.FAILED, NodePrefetchState.WAITING].map((each, index) => [
      each,
      index,
    ]),
  );
  nodes.sort(
    (a, b) =>
      (place.get(a.state) ?? place.size) - (place.get(b.state) ?? place.size) ||
      (a.nodeName < b.nodeName ? -1 : a.nodeName > b.nodeName ? 1 : 0),
  );
  return { ...prefetchMessage(prefetch), nodes: nodes.slice(0, prefetchNodesToldMax) };
}

function nodeMessage(
  { digest, sizeBytes, state }: OperatorPrefetch,
  nodeId: string,
  target: PrefetchTarget,
  inventory: Inventory,
  nowMs: number,
) {
  const node = inventory.lookup(nodeId, nowMs);
  const fetch = target.state === "pending" ? inventory.partOf(nodeId, digest, nowMs)?.fetch : undefined;
  return {
    nodeId,
    nodeName: node?.node.name ?? nodeId,
    zone: node?.node.zone ?? "",
    state: nodeStateOf(target, fetch !== undefined, state),
    lost: node?.state !== "up",
    doneBytes: target.state === "ready" ? BigInt(sizeBytes) : (fetch?.doneBytes ?? 0n),
    bytesPerSecond: fetch?.bytesPerSecond ?? 0n,
    ...(fetch?.etaSeconds !== undefined && { etaSeconds: fetch.etaSeconds }),
    activity: fetch?.activity ?? "",
    error: target.error,
  } satisfies MessageInitShape<typeof PrefetchNodeSchema>;
}

function nodeStateOf(
  { state }: PrefetchTarget,
  isFetching: boolean,
  whole: OperatorPrefetch["state"],
): NodePrefetchState {
  if (state === "ready") return NodePrefetchState.READY;
  if (state === "failed") return NodePrefetchState.FAILED;
  if (whole === "cancelled") return NodePrefetchState.CANCELLED;
  return isFetching ? NodePrefetchState.FETCHING : NodePrefetchState.WAITING;
}

const modes: Record<PlanMode, PlanModeMessage> = {
  off: PlanModeMessage.OFF,
  advise: PlanModeMessage.ADVISE,
  on: PlanModeMessage.ON,
};

export function planModeMessage(mode: PlanMode): PlanModeMessage {
  return modes[mode];
}

export function zonePlanMessage(
  kept: KeptPlan,
  plan: PlanKeeper,
  inventory: Inventory,
  bytesPerSecondMax: number,
  nowMs: number,
): MessageInitShape<typeof ZonePlanSchema> {
  return {
    zone: kept.zone,
    nodes: kept.nodes,
    nodesAllowing: kept.nodesAllowing,
    budgetBytes: BigInt(kept.budgetBytes),
    usedBytes: BigInt(kept.usedBytes),
    bytesPerSecondMax: BigInt(bytesPerSecondMax),
    images: kept.images.slice(0, planRowsToldMax).map((image) => ({
      digest: image.digest,
      names: [...plan.namesOf(image.digest)],
      score: image.score,
      copies: image.copies,
      copiesComing: image.copiesComing,
      copiesWanted: image.copiesWanted,
      missesExpected: image.missesExpected,
      missesExpectedThen: image.missesExpectedThen,
    })),
    assignments: plan
      .planned(kept.zone)
      .slice(0, planRowsToldMax)
      .map(({ digest, nodeId, plannedAtMs }) => ({
        digest,
        nodeId,
        nodeName: inventory.lookup(nodeId, nowMs)?.node.name ?? nodeId,
        plannedAt: timestampFromMs(plannedAtMs),
        state: inventory.partOf(nodeId, digest, nowMs)?.fetch ? NodePrefetchState.FETCHING : NodePrefetchState.WAITING,
      })),
  };
}
