/** The VMs that a cloud is asked for, made up from a seed as in the paper's Section 5: pure. */
import { Random } from "../../sim/random.ts";

export interface TraceOptions {
  vmsPerHour: number;
  hours: number;
  /** VMs start from one of so many images, each as often. */
  images: number;
  /** Mean of how long a VM lives; 0: to the end of the trace. */
  meanLifeMinutes: number;
  /** VMs of one image that are asked for at the same moment; the paper's come one by one. */
  burst: number;
}

/** A VM that is asked for. Times are of the paper's scale. */
export interface Arrival {
  atSeconds: number;
  /** From 0. */
  image: number;
  livesSeconds: number;
}

/** Arrivals with exponential gaps, until the trace is over. How long VMs live changes nothing of when they come. */
export function traceOf(options: TraceOptions, seed: number): Arrival[] {
  const { vmsPerHour, hours, images, meanLifeMinutes, burst } = options;
  const random = new Random(seed);
  const [gaps, choices, lives] = [random.fork(), random.fork(), random.fork()];
  const arrivals: Arrival[] = [];
  const next = (atSeconds: number) => atSeconds + exponential(gaps, (3_600 * burst) / vmsPerHour);
  for (let atSeconds = next(0); atSeconds < hours * 3_600; atSeconds = next(atSeconds)) {
    const image = choices.below(images);
    for (let vm = 0; vm < burst; vm++) {
      const livesSeconds = meanLifeMinutes === 0 ? Number.POSITIVE_INFINITY : exponential(lives, meanLifeMinutes * 60);
      arrivals.push({ atSeconds, image, livesSeconds });
    }
  }
  return arrivals;
}

function exponential(random: Random, mean: number): number {
  return -Math.log(1 - random.next()) * mean;
}
