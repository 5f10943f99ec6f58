import { quantile, rounded } from "../statistics.ts";

/** In tenths; null of nothing. */
export function percentile(values: readonly number[], share: number): number | null {
  return values.length === 0 ? null : rounded(quantile(values, share), 1);
}
