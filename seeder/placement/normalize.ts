/** The first paper's N: weights between 0 and 1 by the least and the greatest of them. Pure. */

/**
 * N(w) = (w - min W) / (max W - min W), with `rangeMin` for the denominator where that is greater: what lies closer together
 * is not driven apart. Where all are equal, N tells nothing, and each is left as it is.
 */
export function normalization(weights: Iterable<number>, rangeMin = 0): (weight: number) => number {
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  for (const weight of weights) {
    if (weight < min) min = weight;
    if (weight > max) max = weight;
  }
  if (!(max > min)) return (weight) => weight;
  const range = Math.max(max - min, rangeMin);
  return (weight) => (weight - min) / range;
}
