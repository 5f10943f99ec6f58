/**
 * Weighs hosts for a launch, as in the first paper, Section 4: omega = sum of m_i * N(w_i(h)), the greatest first, ties
 * at random. Pure: the facts, the options and the seed come in, the order goes out.
 */
import { textHash } from "../inventory/text-hash.ts";
import { spreadWeight } from "./heat.ts";
import { normalization } from "./normalize.ts";
import { bestFirst } from "./order.ts";
import { type ImagePart, type ReadinessOptions, readiness } from "./readiness.ts";

/** All that counts of a host; hosts of which the same counts share one. */
export interface HostCase {
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

/** What is known of a host. */
export interface HostFacts extends HostCase {
  /** As it was asked for. */
  host: string;
}

export interface WeighOptions extends ReadinessOptions {
  cacheMultiplier: number;
  spreadMultiplier: number;
  /** Launches that halve the spread's weight. */
  hotLaunches: number;
}

/** What a case weighs among others. */
export interface WeighedCase<Facts> {
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

/** Weighs all cases that there are among the hosts of one request; how many hosts share one makes no difference. */
export function weighCases<Facts extends HostCase>(
  cases: readonly Facts[],
  options: WeighOptions,
): WeighedCase<Facts>[] {
  const weighed = cases.map((facts) => ({ facts, ...unweighed }));
  const up = weighed.filter(({ facts }) => facts.standing === "up");
  for (const each of up) {
    const { part, hasBootImage, recentLaunches, otherFetches } = each.facts;
    each.cache = readiness(part, hasBootImage, options);
    each.spread = spreadWeight(recentLaunches, otherFetches, options.hotLaunches);
  }
  const normalizeCache = normalization(
    up.map(({ cache }) => cache),
    cacheRangeMin,
  );
  for (const each of up) {
    each.cacheNormalized = normalizeCache(each.cache);
    each.score = options.cacheMultiplier * each.cacheNormalized + options.spreadMultiplier * each.spread;
  }
  const normalizeScore = normalization(up.map(({ score }) => score));
  for (const each of up) each.weight = Math.min(1, normalizeScore(each.score));
  return weighed;
}

/** Of a host of which nothing counts. */
const unweighed = { cache: 0, cacheNormalized: 0, spread: 0, score: 0, weight: 0 };

/** By what a case goes before others: its score, and any host that is up before those that are not. */
export function precedence({ facts, score }: WeighedCase<HostCase>): number {
  return facts.standing === "up" ? score : -1;
}

/**
 * The best hosts, best first; all of them if no count is given. Equals come in an order that the seed gives, by their
 * names; the order in which they came in does not matter.
 */
export function weighHosts<Facts extends HostFacts>(
  hosts: readonly Facts[],
  options: WeighOptions,
  seed: bigint,
  count = hosts.length,
): WeighedCase<Facts>[] {
  const weighed = weighCases(hosts, options);
  const ordered = bestFirst(
    {
      size: hosts.length,
      caseOf: hosts.map((_, index) => index),
      precedences: weighed.map(precedence),
      nameOf: (index) => (hosts[index] as Facts).host,
      hashOf: (index) => textHash((hosts[index] as Facts).host),
    },
    seed,
    count,
  );
  return Array.from(ordered, (index) => weighed[index] as WeighedCase<Facts>);
}
