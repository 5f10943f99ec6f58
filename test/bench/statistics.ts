/** Figures of several rounds, summed up. */

/** The middle value; of an even number, the lower of the two. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] as number;
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** The value below which a share of them lies, between 0 and 1; between two values by how near it is to each. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const place = (sorted.length - 1) * share;
  const below = sorted[Math.floor(place)] as number;
  const above = sorted[Math.ceil(place)] as number;
  return below + (above - below) * (place - Math.floor(place));
}

/** Of a sample: over one less than their number. 0 of a single value. */
export function standardDeviation(values: readonly number[]): number {
  if (values.length < 2) return 0;
  const middle = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1));
}

export function rounded(value: number, digits = 2): number {
  return Number(value.toFixed(digits));
}

/** Lowest and highest, as "LOW-HIGH". */
export function spread(values: readonly number[], digits = 0): string {
  return `${rounded(Math.min(...values), digits)}-${rounded(Math.max(...values), digits)}`;
}

/** The median of each field. */
export function medians<Field extends string>(rounds: readonly Record<Field, number>[]): Record<Field, number> {
  const fields = Object.keys(rounds[0] as Record<Field, number>) as Field[];
  const entries = fields.map((field) => [field, rounded(median(rounds.map((round) => round[field])))]);
  return Object.fromEntries(entries) as Record<Field, number>;
}
