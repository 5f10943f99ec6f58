/**
 * Weighs hosts for a launch, as in the first paper, Section 4: omega = sum of m_i * N(w_i(h)), the greatest first, ties
 * at random. Pure: the facts, the options and the seed come in, the order goes out.
 */
import { spreadWeight } from "./heat.ts";
import { normalization } from "./normalize.ts";
import { type ImagePart, type ReadinessOptions, readiness } from "./readiness.ts";
import { tieBreaker } from "./ties.ts";

/** What is known of a host. */
export interface HostFacts {
  /** As it was asked for. */
  host: string;
  /** "unknown": no agent has ever reported from it. Of a lost one nothing counts. */
  standing: "up" | "lost" | "unknown";
  /** Why it is unknown, where there is more to say than that. */
  note?: string;
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

/** Of a host of which nothing counts. */
const unweighed = { cache: 0, cacheNormalized: 0, spread: 0, score: 0, weight: 0 };

type Ranked = WeighedHost<HostFacts> & { tie: number };

/**
 * The hosts, best first. Equals come in an order that the seed gives, by their names; the order in which they came in
 * does not matter.
 */
export function weighHosts<Facts extends HostFacts>(
  hosts: readonly Facts[],
  options: WeighOptions,
  seed: bigint,
): WeighedHost<Facts>[] {
  const weighed = hosts.map((facts) => ({ ...unweighed, facts, tie: tieBreaker(facts.host, seed) }));
  const up = weighed.filter(({ facts }) => facts.standing === "up");
  for (const host of up) {
    const { part, hasBootImage, recentLaunches, otherFetches } = host.facts;
    host.cache = readiness(part, hasBootImage, options);
    host.spread = spreadWeight(recentLaunches, otherFetches, options.hotLaunches);
  }
  const normalizeCache = normalization(
    up.map(({ cache }) => cache),
    cacheRangeMin,
  );
  for (const host of up) {
    host.cacheNormalized = normalizeCache(host.cache);
    host.score = options.cacheMultiplier * host.cacheNormalized + options.spreadMultiplier * host.spread;
  }
  const normalizeScore = normalization(up.map(({ score }) => score));
  for (const host of up) host.weight = Math.min(1, normalizeScore(host.score));
  return weighed.sort(byScore);
}

function byScore(a: Ranked, b: Ranked): number {
  return b.score - a.score || a.tie - b.tie || compare(a.facts.host, b.facts.host);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
