/**
 * What a node's part in an image is worth to a launch: the weight w of the first paper, Section 4 (1 if the image is
 * cached, else 0), with what is on its way in between. Pure.
 *
 * An image on its way has
 *
 *     w = max(begun + bytesWorth * f, top * half / (half + eta) * (1 + f) / 2)
 *
 * for the fraction f that is there and the seconds `eta` until it is ready, as its node reckons. It grows with f, falls
 * with eta, and is above 0 and below 1. The first term is what is certain: somebody fetches the image there already, so
 * that a launch costs no further fetch, and what has arrived need not come again. It is all there is for a fetch that
 * waits in the queue, or to which nothing has come of late (no ETA). The second is the time that is left, halved in worth
 * every `half` seconds or so; f weighs in, since a rate that was seen for a moment says less of a fetch that has just begun.
 *
 * A paused fetch counts as absent: the node's disk is full or fails, and a virtual machine would not fare better there
 * than on a node that has nothing.
 *
 * The image's boot image lets a machine boot at once, and the rest come meanwhile: a node that has it is `bootImageWorth`
 * of the way from its weight to that of a cached image, but for paused fetches.
 */

/** A node's part in an image. */
export type ImagePart =
  | { kind: "cached" }
  /** Being fetched. `etaSeconds` is undefined where nothing moves. */
  | { kind: "active"; fraction: number; etaSeconds: number | undefined }
  | { kind: "queued"; fraction: number }
  | { kind: "paused"; fraction: number }
  /** A launch was recorded there moments ago, and what it will do about the image is not yet reported. */
  | { kind: "expected" }
  | { kind: "absent" };

export interface ReadinessOptions {
  /** Whether anything but a cached image counts. */
  countInFlight: boolean;
  /** Seconds until ready that halve the worth of an image on its way. */
  inFlightHalfSeconds: number;
  /** 0 to 1. */
  bootImageWorth: number;
}

/** A fetch that has only been asked for. */
const begun = 0.05;
/** What all bytes but the last are worth while nothing moves. */
const bytesWorth = 0.05;
/** Next to ready is not yet ready. */
const top = 0.98;

/** Between 0 and 1. */
export function readiness(part: ImagePart, hasBootImage: boolean, options: ReadinessOptions): number {
  if (part.kind === "cached") return 1;
  if (part.kind === "paused") return 0;
  const fetched = options.countInFlight ? fetchWeight(part, options.inFlightHalfSeconds) : 0;
  return hasBootImage ? fetched + (1 - fetched) * options.bootImageWorth : fetched;
}

function fetchWeight(part: Exclude<ImagePart, { kind: "cached" | "paused" }>, halfSeconds: number): number {
  if (part.kind === "absent") return 0;
  if (part.kind === "expected") return begun;
  const fraction = Math.min(1, Math.max(0, part.fraction));
  const certain = begun + bytesWorth * fraction;
  if (part.kind === "queued" || part.etaSeconds === undefined) return certain;
  const etaSeconds = Math.max(0, part.etaSeconds);
  return Math.max(certain, (top * (halfSeconds / (halfSeconds + etaSeconds)) * (1 + fraction)) / 2);
}
