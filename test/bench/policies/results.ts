/** What runs leave, and the figures made of them: pure. */
import { median, rounded } from "../statistics.ts";
import type { Policy } from "./vm-host.ts";

export interface PolicyResult {
  policy: Policy;
  images: "same" | "distinct";
  vms: number;
  /** Neighbours that read the disk at random all the while. */
  noise: number;
  /** For each VM, from the moment at which all were wanted. */
  vmSeconds: number[];
  /** What the disk delivered, the neighbours' part included. */
  diskBytes: number;
  diskReads: number;
}

export interface Summary {
  policy: Policy;
  images: string;
  vms: number;
  noise: number;
  rounds: number;
  /** The last VM, and the mean over all: medians over the rounds. */
  allSeconds: number;
  allSecondsRange: [number, number];
  meanSeconds: number;
  diskMegabytes: number;
  diskReads: number;
}

/** A boot image beside its image. */
export interface ImageFigures {
  name: string;
  packages: string[];
  sizeBytes: number;
  allocatedBytes: number;
  reads: number;
  /** What the guest asked for, twice what it asked for twice. */
  readBytes: number;
  /** In blocks of 64 KiB, each once. */
  coveredBytes: number;
  /** Of those: zeros, pages there twice, pages that the boot images of the variants before it have. */
  zeroBytes: number;
  repeatedBytes: number;
  /** The boot image's file, by itself and beside the variants before it. */
  bootImageBytes: number;
  bootImageBytesBeside: number;
}

/** In the order in which they first came. */
export function summariesOf(results: readonly PolicyResult[]): Summary[] {
  const groups = Map.groupBy(results, (each) => `${each.images} ${each.vms} ${each.noise} ${each.policy}`);
  return [...groups.values()].map((group) => {
    const { policy, images, vms, noise } = group[0] as PolicyResult;
    const medianOf = (figure: (each: PolicyResult) => number) => rounded(median(group.map(figure)));
    const all = group.map((each) => Math.max(...each.vmSeconds));
    return {
      ...{ policy, images, vms, noise },
      rounds: group.length,
      allSeconds: rounded(median(all)),
      allSecondsRange: [rounded(Math.min(...all)), rounded(Math.max(...all))],
      meanSeconds: medianOf((each) => each.vmSeconds.reduce((sum, seconds) => sum + seconds, 0) / vms),
      diskMegabytes: medianOf((each) => each.diskBytes / 1e6),
      diskReads: medianOf((each) => each.diskReads),
    };
  });
}
