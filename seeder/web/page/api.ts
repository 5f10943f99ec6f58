/** Calls of the seeder's API by Connect's JSON. https://connectrpc.com/docs/protocol#unary-request */
import type {
  GetNodeResponseJson,
  ListHoldingsResponseJson,
} from "../../../proto/gen/bootswarm/seeder/v1/inventory_pb.js";
import type {
  GetPlanResponseJson,
  ListPopularityResponseJson,
} from "../../../proto/gen/bootswarm/seeder/v1/prefetch_pb.js";

const callTimeoutMs = 10_000;
/** Nodes of an image that are listed; the rest are a number. */
const nodesListedMax = 100;

/** The API answered with an error, or does not answer. */
export class ApiError extends Error {
  /** Connect's code, such as "not_found" or "unimplemented"; "unavailable" if nobody answers. */
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

export function getNode(id: string, signal: AbortSignal): Promise<GetNodeResponseJson> {
  return call("InventoryService/GetNode", { node: id }, signal);
}

export function listHoldings(digest: string, signal: AbortSignal): Promise<ListHoldingsResponseJson> {
  return call(
    "InventoryService/ListHoldings",
    { image: digest, pageSize: nodesListedMax, fetchingFirst: true },
    signal,
  );
}

export function getPlan(signal: AbortSignal): Promise<GetPlanResponseJson> {
  return call("PrefetchService/GetPlan", {}, signal);
}

export function listPopularity(limit: number, signal: AbortSignal): Promise<ListPopularityResponseJson> {
  return call("PrefetchService/ListPopularity", { limit }, signal);
}

async function call<T>(method: string, request: object, signal: AbortSignal): Promise<T> {
  let response: Response;
  try {
    response = await fetch(`/bootswarm.seeder.v1.${method}`, {
      method: "POST",
      headers: { "content-type": "application/json", "connect-protocol-version": "1" },
      body: JSON.stringify(request),
      cache: "no-store",
      signal: AbortSignal.any([signal, AbortSignal.timeout(callTimeoutMs)]),
    });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new ApiError("unavailable", "the seeder does not answer");
  }
  const text = await response.text();
  if (response.ok) return JSON.parse(text) as T;
  // A service that this seeder has not got is plain HTTP's 404, without Connect's JSON.
  if (!response.headers.get("content-type")?.startsWith("application/json")) {
    throw new ApiError(
      response.status === 404 ? "unimplemented" : "internal",
      `the seeder answered ${response.status}`,
    );
  }
  const { code = "internal", message = "" } = JSON.parse(text) as { code?: string; message?: string };
  throw new ApiError(code, message || code);
}
