/** What the inventory and the launches of late say of a host, as far as it matters to a launch of one image. Pure. */
import { type Fetch, FetchState } from "../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import type { NodeFacts } from "../inventory/facts.ts";
import { isActive } from "../inventory/node-view.ts";
import type { ImagePart } from "./readiness.ts";
import type { RecentLaunches } from "./recent-launches.ts";
import type { HostFacts } from "./weigh.ts";

/** A host with its node, if there is one. */
export interface PlacedHost extends HostFacts {
  node: NodeFacts | undefined;
}

/** A node as the inventory knows it. */
export interface PlacedNode {
  node: NodeFacts;
  state: "up" | "lost";
  /** Of all images; empty for a lost node. */
  fetches: readonly Fetch[];
  /** Whether the image of that digest is complete on it. */
  holds(digest: string): boolean;
}

export interface ImageOfInterest {
  digest: string;
  /** Of its boot image; undefined if it has none. */
  bootDigest: string | undefined;
}

/** Bytes a second at which a whole image is compared with its sha256: what one core of an older machine does. */
const hashedBytesPerSecond = 400e6;

export function hostFactsOf(
  host: string,
  placed: PlacedNode,
  image: ImageOfInterest,
  launches: RecentLaunches,
  nowMs: number,
): PlacedHost {
  const { node, state, fetches } = placed;
  let known: ImagePart | undefined = placed.holds(image.digest) ? { kind: "cached" } : undefined;
  let otherFetches = 0;
  for (const fetch of fetches) {
    if (fetch.digest === image.digest) known ??= partOfFetch(fetch);
    else if (isActive(fetch) && fetch.digest !== image.bootDigest) otherFetches++;
  }
  const part = known ?? { kind: launches.isExpected(node.id, image.digest, nowMs) ? "expected" : "absent" };
  return {
    host,
    node,
    standing: state,
    part,
    hasBootImage: image.bootDigest !== undefined && placed.holds(image.bootDigest),
    recentLaunches: launches.launchesOn(node.id, nowMs),
    otherFetches,
  };
}

/** A host of which nothing is known; `note` says why, if there is more to say. */
export function unknownHost(host: string, note?: string): PlacedHost {
  return {
    host,
    node: undefined,
    standing: "unknown",
    part: { kind: "absent" },
    hasBootImage: false,
    recentLaunches: 0,
    otherFetches: 0,
    ...(note === undefined ? {} : { note }),
  };
}

function partOfFetch(fetch: Fetch): ImagePart {
  const sizeBytes = Number(fetch.sizeBytes);
  const fraction = sizeBytes > 0 ? Math.min(1, Number(fetch.doneBytes) / sizeBytes) : 0;
  switch (fetch.state) {
    case FetchState.ACTIVE:
      return { kind: "active", fraction, etaSeconds: fetch.etaSeconds };
    case FetchState.VERIFYING:
      return { kind: "active", fraction: 1, etaSeconds: sizeBytes / hashedBytesPerSecond };
    case FetchState.PAUSED:
      return { kind: "paused", fraction };
    default:
      return { kind: "queued", fraction };
  }
}
