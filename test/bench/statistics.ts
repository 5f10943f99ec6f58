/** Figures of several rounds, summed up. */

/** The middle value; of an even number, the lower of the two. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] as number;
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
