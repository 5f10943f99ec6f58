/** Which images a seeder copies next: pure. */
import type { Image } from "../catalog/image.ts";

export interface CopyChoice {
  images: readonly Image[];
  /** Whether this seeder holds an image's bytes, or copies them already. */
  isHere: (digest: string) => boolean;
  /** How many live seeders hold it. */
  copiesOf: (digest: string) => number;
  /** Until when it is not tried again, after it failed. */
  notBeforeMs: (digest: string) => number;
  nowMs: number;
}

/**
 * What is to be copied, the most urgent first: what the fewest seeders hold, and of these the newest, which somebody may be
 * waiting for. What none holds may still be on nodes; it comes last, so that it keeps no place from what is there.
 */
export function wantedCopies({ images, isHere, copiesOf, notBeforeMs, nowMs }: CopyChoice): Image[] {
  return images
    .filter(({ digest }) => !isHere(digest) && notBeforeMs(digest) <= nowMs)
    .map((image) => ({ image, copies: copiesOf(image.digest) || Number.POSITIVE_INFINITY }))
    .sort((a, b) => (a.copies === b.copies ? b.image.createdAtMs - a.image.createdAtMs : a.copies - b.copies))
    .map(({ image }) => image);
}

/** Smallest part of the filesystem that is left free, and the most that this comes to. */
const floorShare = 0.05;
const floorBytesMax = 10 * 1024 ** 3;

/** Bytes of the filesystem that copies leave free for uploads and others. */
export function freeFloorBytes(setting: number | "auto", filesystemBytes: number): number {
  return setting === "auto" ? Math.min(floorShare * filesystemBytes, floorBytesMax) : setting;
}
