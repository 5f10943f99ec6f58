/** Every bound of the inventory, with its reason: reports come from many machines, of which one may be mad. */

/**
 * Nodes known at once: the largest regions there are, with 2 to 3 KiB a node. When a new one comes beyond it, the one
 * lost for longest is forgotten.
 */
export const nodesMax = 100_000;

/** Images complete on one node: some hundred gigabytes of the smallest images there are. */
export const holdingsPerNodeMax = 10_000;

/** Queued and active fetches of one node: more than any agent's queue holds. */
export const fetchesPerReportMax = 2_000;

/** Lengths of what a node says of itself, in characters; DNS names end at 253, URLs in practice at 2 KiB. */
export const idCharactersMax = 128;
export const nodeNameCharactersMax = 255;
export const urlCharactersMax = 2_048;
export const versionCharactersMax = 64;

/** A fetch's error and activity are for people; what is longer is cut. */
export const textCharactersMax = 1_024;

/** A node's report interval; less would be a flood, more would take hours to see a node lost. */
export const reportIntervalMsMin = 50;
export const reportIntervalMsMax = 60 * 60 * 1_000;

/** A node that is fetching an image is told this many of its peers, where it is connected with fewer than so many. */
export const peersTold = 16;
export const peersEnough = 8;

/** Images of which it is told peers in one answer: more than a node fetches at once. */
export const imagesToldMax = 16;

/** Nodes told in one answer: some 2 MiB of what clients take in one message, and what fits on no screen. */
export const nodesPerPageMax = 10_000;

/** A node's lease is so many times what it is told to rest between reports: one or two reports may go astray. */
export const silentIntervalsMax = 3;

/** Longest between reports of a node that fetches, unless it is told to rest longer: progress a person can watch. */
export const progressIntervalMsMax = 2_000;

/**
 * Reports asked for per second, over all nodes; where nodes would send more at their own intervals, all are asked less often.
 * 10,000 nodes, every 10 s, and one in 20 that fetches, every 2 s. By the CPU that single calls take it is about half of a core,
 * which leaves room for hosts to be weighed, and for full reports (docs/scale.md).
 */
export const reportsPerSecondMax = 1_200;

/** So many times less often, at most: agents rest no longer than that (agent/report/pace.ts). */
export const crowdStretchMax = 16;

/** A busy seeder asks for reports so many times less often, at most: progress must still be seen. */
export const busyStretchMax = 4;

/**
 * Full reports asked for per second, over all nodes, each just below 1 ms of CPU for 50 images: 10,000 nodes of which nothing is
 * known take 13 seconds, and what else they ask meanwhile has its turn.
 */
export const fullReportsPerSecondMax = 800;

/** So many are asked for at once when none were lately: a rack of nodes need not wait. */
export const fullReportBurst = 100;

/** A node that has not come this long after its time has lost its place. */
export const fullReportSlotKeptMs = 60_000;
