/** What the inventory and the launches of late say of a host, as far as it matters to a launch of one image. Pure. */
import { type Fetch, FetchState } from "../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import type { NodeFacts } from "../inventory/facts.ts";
import { isActive, type NodeRecord, stateOf } from "../inventory/node-view.ts";
import type { ImagePart } from "./readiness.ts";
import type { RecentLaunches } from "./recent-launches.ts";
import type { HostFacts } from "./weigh.ts";

/** A host with its node, if there is one. */
export interface PlacedHost extends HostFacts {
  node: NodeFacts | undefined;
}

/** A node, as the inventory keeps it. */
export type PlacedNode = Readonly<NodeRecord>;

/** The image that is to be launched. */
export interface LaunchedImage {
  digest: string;
  /** Of its boot image; undefined if it has none. */
  bootDigest: string | undefined;
  isHeldBy: (placed: PlacedNode) => boolean;
  isBootHeldBy: (placed: PlacedNode) => boolean;
}

/** Bytes a second at which a whole image is compared with its sha256: what one core of an older machine does. */
const hashedBytesPerSecond = 400e6;

const cached: ImagePart = { kind: "cached" };
const expected: ImagePart = { kind: "expected" };
const absent: ImagePart = { kind: "absent" };

export function hostFactsOf(
  host: string,
  placed: PlacedNode,
  image: LaunchedImage,
  launches: RecentLaunches,
  nowMs: number,
): PlacedHost {
  const { node, fetches } = placed;
  const standing = stateOf(placed, nowMs);
  let part = image.isHeldBy(placed) ? cached : absent;
  let otherFetches = 0;
  if (standing === "up") {
    for (const fetch of fetches) {
      if (fetch.digest === image.digest) part = part === cached ? cached : partOfFetch(fetch);
      else if (isActive(fetch) && fetch.digest !== image.bootDigest) otherFetches++;
    }
  }
  const isLaunchedOn = launches.has(node.id);
  if (isLaunchedOn && part === absent && launches.isExpected(node.id, image.digest, nowMs)) part = expected;
  return {
    host,
    node,
    standing,
    part,
    hasBootImage: image.isBootHeldBy(placed),
    recentLaunches: isLaunchedOn ? launches.launchesOn(node.id, nowMs) : 0,
    otherFetches,
    note: undefined,
  };
}

/** A host of which nothing is known; `note` says why, if there is more to say. */
export function unknownHost(host: string, note?: string): PlacedHost {
  return {
    host,
    node: undefined,
    standing: "unknown",
    part: absent,
    hasBootImage: false,
    recentLaunches: 0,
    otherFetches: 0,
    note,
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
