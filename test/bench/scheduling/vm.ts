/** One VM's way from the request to its image's being ready on a host. */
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type Fetch, FetchPriority, FetchState } from "../../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import type { LabAgent } from "../swarm/daemons.ts";
import type { Found } from "./results.ts";

export interface Arrived {
  found: Found;
  /** By the agent's clock, which is the lab's: all are on one machine. */
  readyAtMs: number;
}

/**
 * Asks a host's agent for the image as for a VM that waits, and follows it until it is ready.
 *
 * @throws Error if the image does not come.
 */
export async function bringImage({ host, service }: LabAgent, image: string, signal: AbortSignal): Promise<Arrived> {
  const askedAtMs = Date.now();
  let found: Found | undefined;
  for await (const { fetch } of service.ensureImage({ image, priority: FetchPriority.DEMAND }, { signal })) {
    if (!fetch) continue;
    found ??= foundAs(fetch, askedAtMs);
    if (fetch.state === FetchState.READY) return { found, readyAtMs: readyAtMs(fetch, found) };
    if (fetch.state === FetchState.FAILED || fetch.state === FetchState.CANCELLED) {
      throw new Error(`${host.name} did not get ${image}: ${fetch.error || "cancelled"}`);
    }
  }
  throw new Error(`${host.name} said nothing more of ${image}`);
}

/** What the agent's first answer says: an image that it had, a fetch that was under way, or one that begins. */
function foundAs(fetch: Fetch, askedAtMs: number): Found {
  if (fetch.state === FetchState.READY) return "cached";
  return fetch.requestedAt && timestampMs(fetch.requestedAt) < askedAtMs ? "in flight" : "absent";
}

function readyAtMs({ endedAt }: Fetch, found: Found): number {
  return found === "cached" || !endedAt ? Date.now() : timestampMs(endedAt);
}
