/** Every bound of the dashboard, with its reason. */

/** Columns of the board: a row is a byte each, and nobody reads more of a map. */
export const imagesOnBoardMax = 512;

/** Pages that are open at once: an operations room, and some. Each costs one encoding of what changes. */
export const watchersMax = 32;

/** Changes kept for a page that reads slower than they come, in messages, about one a second; beyond it the page is cut off. */
export const changesQueuedMax = 30;

/** Nodes of one message when all of the board is told: well below what a message may have, with the longest names. */
export const nodesPerMessageMax = 2_000;

/** Fetches listed one by one; the rest are in their images' sums. */
export const fetchesListedMax = 60;

/** Concerns listed, and nodes named by one of them. */
export const concernsListedMax = 40;
export const nodesPerConcernMax = 20;

/** Moments kept for the curves: five minutes, one a second. */
export const samplesMax = 300;

/** An active fetch that has received nothing for so long is stalled: twice what a swarm takes to find its peers. */
export const stalledAfterMs = 15_000;

/** Failed checks are a concern for so long. */
export const verifyConcernMs = 10 * 60 * 1_000;

/** A disk with less than this fraction free has room for nothing. */
export const diskFreeFractionMin = 0.02;
