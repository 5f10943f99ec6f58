import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  type Fetch as FetchMessage,
  FetchPriority as FetchPriorityMessage,
  FetchSchema,
  FetchState as FetchStateMessage,
} from "../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import type { FetchPriority } from "../cache/records.ts";

export type FetchState = "queued" | "active" | "paused" | "verifying" | "ready" | "failed" | "cancelled";

/** A fetch as it is at one moment; see proto/bootswarm/agent/v1/fetch.proto for what each field means. */
export interface FetchView {
  digest: string;
  name: string;
  state: FetchState;
  priority: FetchPriority;
  sizeBytes: number;
  doneBytes: number;
  swarmBytes: number;
  httpBytes: number;
  bytesPerSecond: number;
  etaSeconds: number | undefined;
  peers: number;
  requestedAt: Date;
  startedAt: Date | undefined;
  endedAt: Date | undefined;
  error: string;
  activity: string;
}

/** Whether nothing more will happen. */
export function hasEnded(state: FetchState): boolean {
  return state === "ready" || state === "failed" || state === "cancelled";
}

/** Seconds until ready at this rate, rounded up; undefined when nothing moves. */
export function etaSeconds(remainingBytes: number, bytesPerSecond: number): number | undefined {
  if (bytesPerSecond <= 0) return undefined;
  // The field is a uint32.
  return Math.min(Math.ceil(remainingBytes / bytesPerSecond), 2 ** 32 - 1);
}

const states: Record<FetchState, FetchStateMessage> = {
  queued: FetchStateMessage.QUEUED,
  active: FetchStateMessage.ACTIVE,
  paused: FetchStateMessage.PAUSED,
  verifying: FetchStateMessage.VERIFYING,
  ready: FetchStateMessage.READY,
  failed: FetchStateMessage.FAILED,
  cancelled: FetchStateMessage.CANCELLED,
};

const priorities: Record<FetchPriority, FetchPriorityMessage> = {
  prefetch: FetchPriorityMessage.PREFETCH,
  ensure: FetchPriorityMessage.ENSURE,
  demand: FetchPriorityMessage.DEMAND,
};

/** The API's message for a fetch. */
export function fetchMessage(view: FetchView): FetchMessage {
  return create(FetchSchema, {
    digest: view.digest,
    name: view.name,
    state: states[view.state],
    priority: priorities[view.priority],
    sizeBytes: BigInt(view.sizeBytes),
    doneBytes: BigInt(view.doneBytes),
    swarmBytes: BigInt(view.swarmBytes),
    httpBytes: BigInt(view.httpBytes),
    bytesPerSecond: BigInt(view.bytesPerSecond),
    ...(view.etaSeconds === undefined ? {} : { etaSeconds: view.etaSeconds }),
    peers: view.peers,
    requestedAt: timestampFromDate(view.requestedAt),
    ...(view.startedAt && { startedAt: timestampFromDate(view.startedAt) }),
    ...(view.endedAt && { endedAt: timestampFromDate(view.endedAt) }),
    error: view.error,
    activity: view.activity,
  });
}

/** The priority that a request's field means. */
export function priorityFrom(message: FetchPriorityMessage): FetchPriority {
  if (message === FetchPriorityMessage.PREFETCH) return "prefetch";
  return message === FetchPriorityMessage.DEMAND ? "demand" : "ensure";
}
