/** Launches of VMs from images, as a node sees them: made up, from a seed. */
import { Random } from "../../sim/random.ts";

const mib = 2 ** 20;
const gib = 2 ** 30;

/** Kinds of images with their share of a catalog and their sizes, from the least to the greatest of most of them. */
const kinds: { share: number; bytes: [number, number] }[] = [
  // Container hosts and minimal systems.
  { share: 0.15, bytes: [60 * mib, 300 * mib] },
  // Distributions' cloud images.
  { share: 0.45, bytes: [300 * mib, 1.5 * gib] },
  // Desktops, and servers with their software.
  { share: 0.25, bytes: [1.5 * gib, 6 * gib] },
  // Windows, and images that teams have filled themselves.
  { share: 0.15, bytes: [6 * gib, 30 * gib] },
];

export interface Workload {
  name: string;
  images: number;
  launches: number;
  /** On this node. */
  launchesPerHour: number;
  /** Zipf's exponent. */
  skew: number;
  /** After so many launches an image is superseded: another, as yet unknown, takes its place. 0: never. */
  launchesPerRelease: number;
}

export interface Launch {
  atMs: number;
  image: string;
  sizeBytes: number;
}

/** The launches in order, and the bytes of all images in use at the beginning. */
export function traceOf(workload: Workload, seed: number): { launches: Launch[]; catalogBytes: number } {
  const random = new Random(seed);
  let made = 0;
  const newImage = () => ({ image: `image-${made++}`, sizeBytes: sizeFrom(random) });
  const byRank = Array.from({ length: workload.images }, newImage);
  const catalogBytes = byRank.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const rankOf = zipf(workload.images, workload.skew, random);
  const launches: Launch[] = [];
  for (let atMs = 0; launches.length < workload.launches; ) {
    atMs += (-Math.log(1 - random.next()) * 3_600_000) / workload.launchesPerHour;
    launches.push({ atMs, ...byRank[rankOf()]! });
    if (workload.launchesPerRelease > 0 && launches.length % workload.launchesPerRelease === 0) {
      const rank = Math.floor(random.next() * workload.images);
      // A release is about as large as the one that it follows.
      byRank[rank] = { ...newImage(), sizeBytes: Math.round(byRank[rank]!.sizeBytes * (0.9 + 0.2 * random.next())) };
    }
  }
  return { launches, catalogBytes };
}

function sizeFrom(random: Random): number {
  const at = random.next();
  const sums = kinds.map((_, index) => kinds.slice(0, index + 1).reduce((sum, { share }) => sum + share, 0));
  const [least, greatest] =
    kinds[
      Math.max(
        0,
        sums.findIndex((sum) => sum > at),
      )
    ]!.bytes;
  return Math.round(least * (greatest / least) ** random.next());
}

/** A way to draw ranks from 0, each as often as Zipf's law says. */
function zipf(count: number, skew: number, random: Random): () => number {
  const sums = [1];
  for (let rank = 2; rank <= count; rank++) sums.push(sums.at(-1)! + rank ** -skew);
  return () => {
    const at = random.next() * sums.at(-1)!;
    const rank = sums.findIndex((sum) => sum > at);
    return rank === -1 ? count - 1 : rank;
  };
}
