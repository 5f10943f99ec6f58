/**
 * Weighs hosts for a launch, as in the first paper, Section 4: omega = sum of m_i * N(w_i(h)), the greatest first, ties
 * at random. Pure: the facts, the options and the seed come in, the order goes out.
 */
import { spreadWeight } from "./heat.ts";
import { normalization } from "./normalize.ts";
import { bestFirst } from "./order.ts";
import { type ImagePart, type ReadinessOptions, readiness } from "./readiness.ts";

/** What is known of a host. */
export interface HostFacts {
  /** As it was asked for. */
  host: string;
  /** "unknown": no agent has ever reported from it. Of a lost one nothing counts. */
  standing: "up" | "lost" | "unknown";
  /** Why it is unknown, where there is more to say than that. */
  note?: string | undefined;
  part: ImagePart;
  hasBootImage: boolean;
  /** Launches of late, each counting less as time goes by. */
  recentLaunches: number;
  /** Active fetches of other images. */
  otherFetches: number;
}

export interface WeighOptions extends ReadinessOptions {
  cacheMultiplier: number;
  spreadMultiplier: number;
  /** Launches that halve the spread's weight. */
  hotLaunches: number;
}

export interface WeighedHost<Facts> {
  facts: Facts;
  /** w of the cache. */
  cache: number;
  /** N(w), over all hosts that are up. */
  cacheNormalized: number;
  spread: number;
  /** omega: 0 for a host of which nothing is known. */
  score: number;
  /** N(omega) over all hosts that are up: 1 for the best, 0 for the worst; if all are equal, omega or 1 if that is less. */
  weight: number;
}

/**
 * Weights that lie closer together than this are not driven apart to 0 and 1: of nodes that all fetch an image at about the
 * same rate, none is much better than another, and a queued fetch is no cached image where there is no better.
 */
const cacheRangeMin = 0.1;

/**
 * The best hosts, best first; all of them if no count is given. Equals come in an order that the seed gives, by their
 * names; the order in which they came in does not matter.
 */
export function weighHosts<Facts extends HostFacts>(
  hosts: readonly Facts[],
  options: WeighOptions,
  seed: bigint,
  count = hosts.length,
): WeighedHost<Facts>[] {
  // Columns of numbers, not an object for each host: of thousands, mostly only some are told.
  const cache = new Float64Array(hosts.length);
  const spread = new Float64Array(hosts.length);
  const score = new Float64Array(hosts.length);
  const up: number[] = [];
  for (let index = 0; index < hosts.length; index++) {
    const { standing, part, hasBootImage, recentLaunches, otherFetches } = hosts[index] as Facts;
    if (standing !== "up") continue;
    up.push(index);
    cache[index] = readiness(part, hasBootImage, options);
    spread[index] = spreadWeight(recentLaunches, otherFetches, options.hotLaunches);
  }
  const normalizeCache = normalization(cache, up, cacheRangeMin);
  for (const index of up) {
    score[index] =
      options.cacheMultiplier * normalizeCache(cache[index] as number) +
      options.spreadMultiplier * (spread[index] as number);
  }
  const normalizeScore = normalization(score, up);
  const nameOf = (index: number) => (hosts[index] as Facts).host;
  return bestFirst(score, nameOf, seed, count).map((index) => {
    const facts = hosts[index] as Facts;
    if (facts.standing !== "up") return { facts, ...unweighed };
    return {
      facts,
      cache: cache[index] as number,
      cacheNormalized: normalizeCache(cache[index] as number),
      spread: spread[index] as number,
      score: score[index] as number,
      weight: Math.min(1, normalizeScore(score[index] as number)),
    };
  });
}

/** Of a host of which nothing counts. */
const unweighed = { cache: 0, cacheNormalized: 0, spread: 0, score: 0, weight: 0 };
