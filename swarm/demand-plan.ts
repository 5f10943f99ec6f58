/**
 * Whom to ask for the blocks that somebody waits for: pure. Each block is asked of the peer that would have it here first,
 * by its queue and by the time that it takes for a block, so that the blocks of one piece spread over several peers; and of
 * a second and a third one when it is late.
 */

import type { OpenBlock } from "./assemblies.ts";
import { demandLateMsMax, demandLateMsMin, demandRequestersMax, requestsInFlightMax } from "./limits.ts";
import type { PieceSet } from "./locality.ts";
import type { Block } from "./wire.ts";

/** A block that takes twice as long as expected is late. */
const lateFactor = 2;
/** What a block is taken to take of a peer that has sent none yet. */
const blockMsUnknown = 10;
/** A peer of another zone is asked where it is quicker by this. */
const farMs = 100;
/** A second peer is asked at once if it would save more than this. */
const savedMsMin = 50;

/** A peer that may be asked. */
export interface DemandPeer<Requester> {
  requester: Requester;
  has: PieceSet;
  /** Blocks that it is asked for already. */
  queuedBlocks: number;
  /** What a block of it takes when it is busy; 0 if that is not known. */
  blockMs: number;
  /** How long its oldest request has waited, or its last one did. */
  answerMs: number;
  isFar: boolean;
}

/** A block that is waited for. */
export interface DemandedBlock<Requester> extends OpenBlock<Requester> {
  /** When those who are asked for it are late; undefined if that was not looked at yet. */
  dueAtMs: number | undefined;
}

/** What to do about a block. */
export interface DemandStep<Requester> {
  block: Block;
  /** Who is to be asked for it; nobody else than is asked already, if undefined. */
  requester: Requester | undefined;
  dueAtMs: number;
}

/**
 * What to ask of whom.
 *
 * @param blocks the most urgent first
 */
export function planDemand<Asked, Requester extends Asked>(
  blocks: readonly DemandedBlock<Asked>[],
  peers: readonly DemandPeer<Requester>[],
  nowMs: number,
): DemandStep<Requester>[] {
  const candidates = peers.map((peer) => ({ ...peer, blockMs: peer.blockMs || blockMsUnknown }));
  // All of them may share one link: then none is quicker than the quickest, and what all of them send goes through it.
  const linkBlockMs = Math.min(...candidates.map(({ blockMs }) => blockMs));
  let queuedBlocks = candidates.reduce((sum, peer) => sum + peer.queuedBlocks, 0);
  const steps: DemandStep<Requester>[] = [];
  const dueAtMs = (etaMs: number) =>
    nowMs +
    Math.min(Math.max(lateFactor * Math.max(etaMs, queuedBlocks * linkBlockMs), demandLateMsMin), demandLateMsMax);
  for (const { block, askedOf, dueAtMs: due } of blocks) {
    if (due !== undefined && askedOf.length > 0 && (nowMs < due || askedOf.length >= demandRequestersMax)) continue;
    const best = bestOf(candidates, block.index, askedOf);
    const isLate = due !== undefined || askedOf.length === 0;
    const askedEtaMs = isLate ? Number.POSITIVE_INFINITY : etaOfAsked(candidates, askedOf);
    if (!best || lateFactor * etaMsOf(best) + savedMsMin >= askedEtaMs) {
      if (!isLate) steps.push({ block, requester: undefined, dueAtMs: dueAtMs(askedEtaMs) });
      continue;
    }
    best.queuedBlocks++;
    queuedBlocks++;
    steps.push({ block, requester: best.requester, dueAtMs: dueAtMs(etaMsOf(best)) });
  }
  return steps;
}

function bestOf<Asked, Requester extends Asked>(
  candidates: readonly DemandPeer<Requester>[],
  index: number,
  askedOf: readonly Asked[],
): DemandPeer<Requester> | undefined {
  let best: DemandPeer<Requester> | undefined;
  let bestMs = Number.POSITIVE_INFINITY;
  for (const peer of candidates) {
    if (peer.queuedBlocks >= requestsInFlightMax) continue;
    if (!peer.has.has(index) || askedOf.includes(peer.requester)) continue;
    const etaMs = etaMsOf(peer) + (peer.isFar ? farMs : 0);
    if (etaMs >= bestMs) continue;
    best = peer;
    bestMs = etaMs;
  }
  return best;
}

/** When the first of those who are asked will have sent a block that is last in its queue; never, of one that is no peer. */
function etaOfAsked<Asked>(candidates: readonly DemandPeer<Asked>[], askedOf: readonly Asked[]): number {
  let etaMs = Number.POSITIVE_INFINITY;
  for (const peer of candidates) if (askedOf.includes(peer.requester)) etaMs = Math.min(etaMs, etaMsOf(peer));
  return etaMs;
}

/** A peer that lets requests wait is not quick, whatever it was before. */
function etaMsOf({ queuedBlocks, blockMs, answerMs }: DemandPeer<unknown>): number {
  const etaMs = (queuedBlocks + 1) * blockMs;
  return queuedBlocks > 0 ? Math.max(etaMs, answerMs) : etaMs;
}
