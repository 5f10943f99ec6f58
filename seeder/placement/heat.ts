/**
 * How hot a node is by what was started there of late: what keeps a burst of launches from going to one node. Pure.
 *
 * The spread's weight is 1 / (1 + (load / hot)²): 1 at rest, a half at `hot` launches. It is flat at first, so that the
 * first few launches of a burst still go where the image is, and do not cause a fetch on every node; and it is not
 * normalised by the least and the most loaded host, or one launch would count as much as a hundred.
 */

/** An active fetch of another image takes the node's link and disk, but a virtual machine's boot takes them for longer. */
const launchesPerFetch = 0.5;

/** Above 0, and 1 at most. */
export function spreadWeight(recentLaunches: number, otherFetches: number, hotLaunches: number): number {
  const load = (recentLaunches + launchesPerFetch * otherFetches) / hotLaunches;
  return 1 / (1 + load * load);
}
