/** Kernel density estimates, as of the paper's Figures 12 and 14: pure. */
import { quantile, standardDeviation } from "../statistics.ts";

/** Of a sample whose values are all the same. */
const leastBandwidth = 1e-3;
/** What normally distributed values' interquartile range is in standard deviations. */
const normalRange = 1.34;

/** Silverman's rule of thumb (Density Estimation, 1986, eq. 3.31), for a Gaussian kernel. */
export function silvermanBandwidth(values: readonly number[]): number {
  const deviation = standardDeviation(values);
  const range = (quantile(values, 0.75) - quantile(values, 0.25)) / normalRange;
  // Where half of the values are the same the range is 0, and says nothing.
  const width = range > 0 ? Math.min(deviation, range) : deviation;
  return Math.max(0.9 * width * values.length ** -0.2, leastBandwidth);
}

/** Values, and how many there are really: what a kernel has beyond a border is put back by their mirror images. */
export interface Sample {
  values: readonly number[];
  count: number;
}

/** A sample of values none of which is below 0, so that the area from 0 on is 1. */
export function foldedAtZero(values: readonly number[]): Sample {
  return { values: [...values, ...values.map((value) => -value)], count: values.length };
}

export function plain(values: readonly number[]): Sample {
  return { values, count: values.length };
}

/** The density at a point, by a Gaussian kernel. */
export function densityAt({ values, count }: Sample, bandwidth: number, at: number): number {
  const sum = values.reduce((total, value) => total + Math.exp(-(((at - value) / bandwidth) ** 2) / 2), 0);
  return sum / (count * bandwidth * Math.sqrt(2 * Math.PI));
}

/** Points of the curve, evenly spaced. */
export function densityCurve(
  sample: Sample,
  bandwidth: number,
  { from, to, steps }: { from: number; to: number; steps: number },
): [at: number, density: number][] {
  return Array.from({ length: steps + 1 }, (_, step) => {
    const at = from + (step * (to - from)) / steps;
    return [at, densityAt(sample, bandwidth, at)];
  });
}
