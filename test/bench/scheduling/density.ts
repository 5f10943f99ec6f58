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

/**
 * The density of seconds, by a Gaussian kernel. None are below 0, so what the kernel has there is folded back: the area
 * from 0 on is 1.
 */
export function densityAt(seconds: readonly number[], bandwidth: number, at: number): number {
  const kernel = (distance: number) => Math.exp(-((distance / bandwidth) ** 2) / 2);
  const sum = seconds.reduce((total, each) => total + kernel(at - each) + kernel(at + each), 0);
  return sum / (seconds.length * bandwidth * Math.sqrt(2 * Math.PI));
}

/** Points of the curve from 0, evenly spaced. */
export function densityCurve(
  seconds: readonly number[],
  bandwidth: number,
  toSeconds: number,
  steps: number,
): [seconds: number, density: number][] {
  return Array.from({ length: steps + 1 }, (_, step) => {
    const at = (step * toSeconds) / steps;
    return [at, densityAt(seconds, bandwidth, at)];
  });
}
