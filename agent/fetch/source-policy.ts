/** Where a fetch takes its bytes from: decided anew several times a second, from plain figures. */

export interface SourceSituation {
  /** Whether the torrent's info dictionary is known: without it no byte has a place. */
  infoKnown: boolean;
  /** Whether any peer has been connected since the fetch became active: an address alone may be a dead node's. */
  peersMet: boolean;
  /** Milliseconds since peers last delivered something worth the name or, if none has, since the fetch became active. */
  swarmQuietMs: number;
  swarmBytesPerSecond: number;
  httpBytesPerSecond: number;
  /** Whether HTTP is a source now. */
  httpJoined: boolean;
}

export interface SourceRules {
  /** Whether HTTP may be used at all for an image with a magnet link: the hard switch. */
  fallback: boolean;
  /** How long to look for peers. */
  swarmPatienceMs: number;
  /** How long known peers may deliver next to nothing. */
  stallMs: number;
}

/**
 * - swarm: peers alone.
 * - http-join: HTTP as one more source of pieces, beside the peers.
 * - http-only: the whole image by HTTP, from its beginning, since nobody tells what its pieces are.
 */
export type SourceChoice = "swarm" | "http-join" | "http-only";

/** Decides for an image that has a magnet link. */
export function chooseSource(situation: SourceSituation, rules: SourceRules): SourceChoice {
  if (!rules.fallback) return "swarm";
  const patienceMs = situation.peersMet ? rules.stallMs : rules.swarmPatienceMs;
  if (situation.httpJoined) {
    // HTTP leaves only when the swarm alone does better, or it would come and go with every short pause.
    const swarmLeads =
      situation.swarmQuietMs < patienceMs && situation.swarmBytesPerSecond > situation.httpBytesPerSecond;
    return swarmLeads ? "swarm" : "http-join";
  }
  if (situation.swarmQuietMs < patienceMs) return "swarm";
  return situation.infoKnown ? "http-join" : "http-only";
}
