/** Placement's plain data as API messages, and requests as plain data, checked against their bounds. */

import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { Problem } from "../../daemon/problem.ts";
import {
  type WeighOptions as ApiOptions,
  HostReason as ApiReason,
  type HostCountsSchema,
  type HostDetails,
  HostDetailsSchema,
  type HostWeight,
  HostWeightSchema,
  type RecordLaunchRequest,
  type WeighHostsRequest,
} from "../../proto/gen/bootswarm/seeder/v1/placement_pb.js";
import { isZone, zoneRule } from "../../swarm/zone.ts";
import type { NodeFacts } from "../inventory/facts.ts";
import type { PlacementConfig } from "../placement/config.ts";
import {
  hostCharactersMax,
  hostsMax,
  launchCountMax,
  launchIdCharactersMax,
  otherImagesMax,
} from "../placement/limits.ts";
import type { LaunchReport, Weighing } from "../placement/placement.ts";
import type { ImagePart } from "../placement/readiness.ts";
import { type HostReason, reasonOf, reasonText } from "../placement/reasons.ts";
import type { HostCase, WeighedCase, WeighOptions } from "../placement/weigh.ts";

const reasons: Record<HostReason, ApiReason> = {
  cached: ApiReason.CACHED,
  "in-flight": ApiReason.IN_FLIGHT,
  queued: ApiReason.QUEUED,
  stalled: ApiReason.STALLED,
  paused: ApiReason.PAUSED,
  expected: ApiReason.EXPECTED,
  "boot-image": ApiReason.BOOT_IMAGE,
  absent: ApiReason.ABSENT,
  lost: ApiReason.LOST,
  unknown: ApiReason.UNKNOWN,
};

/**
 * Checks what a request says beside its image.
 *
 * @throws Problem "invalid" naming the field.
 */
export function checkWeighRequest({ hosts, otherImages, options }: WeighHostsRequest): void {
  if (hosts.length > hostsMax) throw new Problem("invalid", `hosts: ${hosts.length} are more than ${hostsMax}`);
  checkOtherImages(otherImages);
  for (const host of hosts) checkHost("hosts", host);
  const zone = options?.zone ?? "";
  if (zone !== "" && !isZone(zone)) throw new Problem("invalid", `options.zone: ${zoneRule}`);
}

/**
 * How hosts are to be weighed: as the request says, else as configured.
 *
 * @throws Problem "invalid" naming the field.
 */
export function weighOptionsFrom(options: ApiOptions | undefined, config: PlacementConfig): WeighOptions {
  const within = (name: string, value: number | undefined, otherwise: number, min: number, max: number) => {
    if (value === undefined) return otherwise;
    if (value >= min && value <= max) return value;
    throw new Problem("invalid", `options.${name}: must be ${min} to ${max}`);
  };
  const { cacheMultiplier, spreadMultiplier, hotLaunches, inFlightHalfSeconds, bootImageWorth } = config;
  return {
    cacheMultiplier: within("cache_multiplier", options?.cacheMultiplier, cacheMultiplier, 0, 1_000),
    spreadMultiplier: within("spread_multiplier", options?.spreadMultiplier, spreadMultiplier, 0, 1_000),
    hotLaunches: within("hot_launches", options?.hotLaunches, hotLaunches, 0.1, 10_000),
    inFlightHalfSeconds: within("in_flight_half_seconds", options?.inFlightHalfSeconds, inFlightHalfSeconds, 1, 86_400),
    bootImageWorth: within("boot_image_worth", options?.bootImageWorth, bootImageWorth, 0, 1),
    countInFlight: options?.countInFlight ?? true,
  };
}

/**
 * A launch that is told of, but for its image.
 *
 * @throws Problem "invalid" naming the field.
 */
export function launchReportFrom(request: RecordLaunchRequest): Omit<LaunchReport, "digest"> {
  if (request.host === "") throw new Problem("invalid", "host: give a node's id or name");
  checkHost("host", request.host);
  checkOtherImages(request.otherImages);
  const count = request.count || 1;
  if (count > launchCountMax) throw new Problem("invalid", `count: must be ${launchCountMax} at most`);
  if (request.launchId.length > launchIdCharactersMax) {
    throw new Problem("invalid", `launch_id: longer than ${launchIdCharactersMax} characters`);
  }
  // PostgreSQL takes no text with it, and all launches of that second would be held up by one.
  if (request.launchId.includes("\0")) throw new Problem("invalid", "launch_id: has a NUL character in it");
  const atMs = request.launchedAt && timestampMs(request.launchedAt);
  return { host: request.host, count, atMs, launchId: request.launchId };
}

function checkOtherImages({ length }: readonly string[]): void {
  if (length > otherImagesMax) throw new Problem("invalid", `other_images: ${length} are more than ${otherImagesMax}`);
}

function checkHost(field: string, host: string): void {
  if (host.length > hostCharactersMax) {
    throw new Problem("invalid", `${field}: a host's name is longer than ${hostCharactersMax} characters`);
  }
}

/**
 * Hosts' weights, as they come. Messages are written as they are, since there may be thousands of them and `create` takes
 * its time over each; what hosts of one case share is put into words once.
 */
export function hostWeightMessages({ told, hostAt, nodeAt, weighedAt }: Weighing, brief: boolean): HostWeight[] {
  const $typeName = HostWeightSchema.typeName;
  const shared = new Map<WeighedCase<HostCase>, SharedDetails>();
  const messages: HostWeight[] = [];
  for (let place = 0; place < told; place++) {
    const host = hostAt(place);
    const weighed = weighedAt(place);
    const { facts, weight, score } = weighed;
    const reason = reasons[reasonOf(facts)];
    if (brief) {
      messages.push({ $typeName, host, weight, score, reason });
      continue;
    }
    let details = shared.get(weighed);
    if (!details) {
      details = sharedDetails(facts);
      shared.set(weighed, details);
    }
    messages.push({ $typeName, host, weight, score, reason, details: detailsMessage(nodeAt(place), weighed, details) });
  }
  return messages;
}

/** What is the same in the details of all hosts of one case, and takes some making. */
interface SharedDetails {
  text: string;
  fraction: number;
  etaSeconds: number | undefined;
}

function sharedDetails(facts: HostCase): SharedDetails {
  const { part } = facts;
  const etaSeconds = part.kind === "active" && part.etaSeconds !== undefined ? Math.ceil(part.etaSeconds) : undefined;
  return { text: reasonText(facts), fraction: facts.standing === "up" ? fractionOf(part) : 0, etaSeconds };
}

function detailsMessage(
  node: NodeFacts | undefined,
  { facts, cache, cacheNormalized, spread }: WeighedCase<HostCase>,
  { text, fraction, etaSeconds }: SharedDetails,
): HostDetails {
  const message: HostDetails = {
    $typeName: HostDetailsSchema.typeName,
    nodeId: node?.id ?? "",
    nodeName: node?.name ?? "",
    zone: node?.zone ?? "",
    text,
    cache,
    cacheNormalized,
    spread,
    recentLaunches: facts.recentLaunches,
    otherFetches: facts.otherFetches,
    fraction,
    bootImage: facts.hasBootImage,
  };
  if (etaSeconds !== undefined) message.etaSeconds = etaSeconds;
  return message;
}

function fractionOf(part: ImagePart): number {
  if (part.kind === "cached") return 1;
  return "fraction" in part ? part.fraction : 0;
}

export function hostCountsMessage(counts: Weighing["counts"]): MessageInitShape<typeof HostCountsSchema> {
  return {
    cached: counts.cached,
    inFlight: counts["in-flight"] + counts.queued + counts.stalled + counts.paused + counts.expected,
    absent: counts.absent + counts["boot-image"],
    lost: counts.lost,
    unknown: counts.unknown,
  };
}
