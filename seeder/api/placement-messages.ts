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
import type { PlacementConfig } from "../placement/config.ts";
import type { PlacedHost } from "../placement/host-facts.ts";
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
import type { WeighedHost, WeighOptions } from "../placement/weigh.ts";

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

/** Messages are written as they are, since there may be thousands of them and `create` takes its time over each. */
export function hostWeightMessage(weighed: WeighedHost<PlacedHost>, brief: boolean): HostWeight {
  const { facts, weight, score } = weighed;
  const message = {
    $typeName: HostWeightSchema.typeName,
    host: facts.host,
    weight,
    score,
    reason: reasons[reasonOf(facts)],
  };
  return brief ? message : { ...message, details: detailsMessage(weighed) };
}

function detailsMessage({ facts, cache, cacheNormalized, spread }: WeighedHost<PlacedHost>): HostDetails {
  const { part } = facts;
  const etaSeconds = part.kind === "active" && part.etaSeconds !== undefined ? Math.ceil(part.etaSeconds) : undefined;
  return {
    $typeName: HostDetailsSchema.typeName,
    nodeId: facts.node?.id ?? "",
    nodeName: facts.node?.name ?? "",
    zone: facts.node?.zone ?? "",
    text: reasonText(facts),
    cache,
    cacheNormalized,
    spread,
    recentLaunches: facts.recentLaunches,
    otherFetches: facts.otherFetches,
    fraction: facts.standing === "up" ? fractionOf(part) : 0,
    ...(etaSeconds === undefined ? {} : { etaSeconds }),
    bootImage: facts.hasBootImage,
  };
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
