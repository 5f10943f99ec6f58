/** PlacementService: translates and calls. */
import type { ServiceImpl } from "@connectrpc/connect";
import { Problem } from "../../daemon/problem.ts";
import type { PlacementService } from "../../proto/gen/bootswarm/seeder/v1/placement_pb.js";
import type { Catalog } from "../catalog/catalog.ts";
import type { Image } from "../catalog/image.ts";
import { bootNameOf, imageRefFrom } from "../catalog/names.ts";
import type { PlacementConfig } from "../placement/config.ts";
import type { Placement } from "../placement/placement.ts";
import { type HostReason, reasonOf } from "../placement/reasons.ts";
import {
  checkWeighRequest,
  hostCountsMessage,
  hostWeightMessages,
  launchReportFrom,
  weighOptionsFrom,
} from "./placement-messages.ts";

export interface PlacementServiceParts {
  placement: Placement;
  catalog: Pick<Catalog, "get" | "recall">;
  config: PlacementConfig;
  /** A random 64 bits. */
  randomSeed: () => bigint;
  /** Told of every answer: how many hosts, what the best had of the image (undefined if there was none), and the time. */
  onWeighed: (hosts: number, best: HostReason | undefined, seconds: number) => void;
  /** Told of every launch: what its node had of the image. */
  onLaunched: (found: HostReason | "told-before", count: number) => void;
}

export function createPlacementService(parts: PlacementServiceParts): ServiceImpl<typeof PlacementService> {
  const { placement, catalog, config } = parts;
  return {
    weighHosts: async (request, context) => {
      const startMs = performance.now();
      checkWeighRequest(request);
      const weighOptions = weighOptionsFrom(request.options, config);
      const { zone = "", count = 0, brief = false, seed = parts.randomSeed() } = request.options ?? {};
      const { digest, bootDigest } = await imageFrom(catalog, [request.image, ...request.otherImages]);
      const foundMs = performance.now();
      const wanted = { digest, bootDigest, hosts: request.hosts, zone, options: weighOptions, seed, count };
      const weighing = placement.weigh(wanted);
      const { told, size, counts } = weighing;
      const weights = hostWeightMessages(weighing, brief);
      const endMs = performance.now();
      // For whoever wonders what a call's time was spent on (W3C Server Timing): the catalog, and this.
      const timing = `image;dur=${(foundMs - startMs).toFixed(2)}, weigh;dur=${(endMs - foundMs).toFixed(2)}`;
      context.responseHeader.set("server-timing", timing);
      parts.onWeighed(size, told > 0 ? reasonOf(weighing.weighedAt(0).facts) : undefined, (endMs - startMs) / 1_000);
      return { digest, hosts: weights, counts: hostCountsMessage(counts), seed };
    },
    recordLaunch: async (request) => {
      const report = launchReportFrom(request);
      const { digest, isKnown } = await imageFrom(catalog, [request.image, ...request.otherImages]);
      const { nodeId, counted, found } = placement.recordLaunch({ ...report, digest }, isKnown);
      parts.onLaunched(counted ? found : "told-before", report.count);
      return { digest, nodeId, counted };
    },
  };
}

/**
 * The first of the images named that the catalog has. A digest alone will do: nodes keep images that were retired.
 *
 * @throws Problem "not-found", or "invalid" for what can be no image's name.
 */
async function imageFrom(
  catalog: Pick<Catalog, "get" | "recall">,
  refs: readonly [string, ...string[]],
): Promise<{ digest: string; bootDigest: string | undefined; isKnown: boolean }> {
  let image: Image | undefined;
  for (const ref of refs) image ??= await known(catalog, ref);
  if (image?.boot)
    throw new Problem("invalid", `${image.digest} is a boot image; name the image that is to be launched`);
  if (image) {
    const boot = catalog.recall(bootNameOf(image.digest));
    return { digest: image.digest, bootDigest: boot?.digest, isKnown: true };
  }
  const ref = imageRefFrom(refs[0]);
  if ("digest" in ref) return { digest: ref.digest, bootDigest: undefined, isKnown: false };
  throw new Problem("not-found", `there is no image ${refs.join(", nor ")} in the catalog`);
}

/** Undefined for an image that the catalog does not have, or that is no image's name. */
async function known(catalog: Pick<Catalog, "get" | "recall">, ref: string): Promise<Image | undefined> {
  try {
    // From memory, since the database has the inventory's writes to do; but another seeder may know what is not known here yet.
    return catalog.recall(ref) ?? (await catalog.get(ref));
  } catch (error) {
    if (error instanceof Problem && (error.kind === "not-found" || error.kind === "invalid")) return undefined;
    throw error;
  }
}
