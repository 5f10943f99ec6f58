/** Where a fetch takes its bytes from: decided anew several times a second, from plain figures. */
import type { ProblemKind } from "../../daemon/problem.ts";

/**
 * Whether HTTP may be used for an image that has a magnet link: the hard switch. "budgeted" obeys the seeder's budget,
 * "always" is outside it.
 */
export const fallbackModes = ["off", "budgeted", "always"] as const;
export type FallbackMode = (typeof fallbackModes)[number];

export interface SourceSituation {
  /** Whether the torrent's info dictionary is known: without it no byte has a place. */
  infoKnown: boolean;
  /** Whether the origin has no torrent of the image that could be used. */
  torrentRefused: boolean;
  /** Whether any peer has been connected since the fetch became active: an address alone may be a dead node's. */
  peersMet: boolean;
  /** Whether a connected peer has pieces that are missing here, as far as is known. */
  peersUseful: boolean;
  /** Milliseconds since peers last delivered something worth the name or, if none has, since the fetch became active. */
  swarmQuietMs: number;
  swarmBytesPerSecond: number;
  httpBytesPerSecond: number;
  /** Missing pieces that no connected peer has. */
  lackingPieces: number;
  /** Whether HTTP is a source now, not only of what reads wait for. */
  httpJoined: boolean;
  /** How long reads of the image have waited; 0 if none does. */
  demandWaitedMs: number;
}

export interface SourceRules {
  fallback: FallbackMode;
  /** How long to look for peers. */
  swarmPatienceMs: number;
  /** How long known peers may deliver next to nothing. */
  stallMs: number;
  /** How long a read may wait for peers. */
  demandPatienceMs: number;
}

/**
 * - swarm: peers alone.
 * - http-demand: HTTP for what reads have waited for, beside the peers.
 * - http-torrent: peers alone, and the origin is asked what the torrent's pieces are.
 * - http-fill: HTTP for the pieces that no connected peer has; peers deliver the others.
 * - http-join: HTTP as one more source of any piece, beside the peers.
 * - http-only: the whole image by HTTP, from its beginning, since nobody tells what its pieces are.
 */
export type SourceChoice = "swarm" | "http-demand" | "http-torrent" | "http-fill" | "http-join" | "http-only";

/** Decides for an image that has a magnet link. */
export function chooseSource(situation: SourceSituation, rules: SourceRules): SourceChoice {
  if (rules.fallback === "off") return "swarm";
  const choice = chooseForFetch(situation, rules);
  if (choice !== "swarm" || situation.demandWaitedMs === 0) return choice;
  // Which of the pieces have waited for long enough is looked at one by one.
  if (situation.infoKnown) return "http-demand";
  const isLate = situation.demandWaitedMs >= rules.demandPatienceMs;
  return isLate && !situation.torrentRefused ? "http-torrent" : "swarm";
}

function chooseForFetch(situation: SourceSituation, rules: SourceRules): SourceChoice {
  const isQuiet = situation.swarmQuietMs >= swarmPatienceMs(situation, rules);
  if (situation.httpJoined) {
    if (isQuiet) return "http-join";
    // What nobody has, nobody can trade: while nodes bring different pieces into the swarm, they have to go on.
    if (situation.lackingPieces > 0) return "http-fill";
    // HTTP leaves only when the swarm alone does better, or it would come and go with every short pause.
    return situation.swarmBytesPerSecond > situation.httpBytesPerSecond ? "swarm" : "http-join";
  }
  if (!isQuiet) return "swarm";
  if (situation.infoKnown) return "http-join";
  return situation.torrentRefused ? "http-only" : "http-torrent";
}

/**
 * Milliseconds for which a fetch may receive nothing at all before it fails. After an answer of the origin that asking
 * again would not change, no more than the time that HTTP was kept waiting for peers: there is nothing else to wait for.
 * Connected peers may yet come to have an image that the seeder has retired; of one that the seeder serves wrongly, an
 * operator should hear at once.
 *
 * @param situation `refusal`: what kind of answer that was, if there was one
 */
export function quietMsMax(
  situation: { peers: number; peersMet: boolean; refusal: ProblemKind | undefined },
  rules: SourceRules & { giveUpMs: number },
): number {
  const { peers, peersMet, refusal } = situation;
  if (refusal === undefined || (refusal === "not-found" && peers > 0)) return rules.giveUpMs;
  return Math.min(patienceMs(peersMet, rules), rules.giveUpMs);
}

/** Peers that have nothing to give are not worth more patience than none. */
function swarmPatienceMs({ peersMet, peersUseful }: SourceSituation, rules: SourceRules): number {
  const waitMs = patienceMs(peersMet, rules);
  return peersUseful ? waitMs : Math.min(waitMs, rules.swarmPatienceMs);
}

function patienceMs(peersMet: boolean, rules: SourceRules): number {
  return peersMet ? rules.stallMs : rules.swarmPatienceMs;
}
