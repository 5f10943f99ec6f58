/**
 * What can be told of a fetch only from several reports: how its present rate divides between peers and HTTP, and since when
 * nothing has arrived. Pure.
 */
import { type Fetch, FetchState } from "../../proto/gen/bootswarm/agent/v1/fetch_pb.js";

export interface FetchFlow {
  swarmBytes: bigint;
  httpBytes: bigint;
  doneBytes: bigint;
  state: FetchState;
  /** Part of its rate that comes from peers, 0 to 1. */
  swarmShare: number;
  /** When bytes last arrived, or it last changed its state. */
  movedAtMs: number;
}

/** The flow as of a report; `before` is that of the report before, if there was one. */
export function flowOf(fetch: Fetch, before: FetchFlow | undefined, nowMs: number): FetchFlow {
  const { swarmBytes, httpBytes, doneBytes, state } = fetch;
  const moved = !before || doneBytes !== before.doneBytes || state !== before.state;
  return {
    swarmBytes,
    httpBytes,
    doneBytes,
    state,
    swarmShare:
      shareOf(swarmBytes - (before?.swarmBytes ?? 0n), httpBytes - (before?.httpBytes ?? 0n)) ??
      before?.swarmShare ??
      shareOf(swarmBytes, httpBytes) ??
      1,
    movedAtMs: moved ? nowMs : before.movedAtMs,
  };
}

/** Whether an active fetch receives nothing, for some time now. */
export function isStalled(flow: FetchFlow, nowMs: number, afterMs: number): boolean {
  return flow.state === FetchState.ACTIVE && nowMs - flow.movedAtMs >= afterMs;
}

/** Undefined if nothing came either way, or the agent has started to count anew. */
function shareOf(swarm: bigint, http: bigint): number | undefined {
  if (swarm < 0n || http < 0n || swarm + http === 0n) return undefined;
  return Number(swarm) / Number(swarm + http);
}
