/** A prefetch that an operator has started: which nodes are to get the image, and how far that is. Pure. */

export interface PrefetchTarget {
  /** A node that is ready stays so, whatever becomes of the image there. */
  state: "pending" | "ready" | "failed";
  /** Why it failed; empty otherwise. */
  error: string;
}

export interface OperatorPrefetch {
  readonly id: string;
  readonly digest: string;
  /** As asked for; empty if by digest. */
  readonly name: string;
  readonly sizeBytes: number;
  /** Nodes asked for; none if they are to be chosen. */
  readonly nodeIds: readonly string[];
  /** Zone of the nodes to choose; empty for any. */
  readonly zone: string;
  /** How many to choose; 0 for all. */
  readonly count: number;
  state: "running" | "done" | "failed" | "cancelled";
  readonly createdAtMs: number;
  endedAtMs: number | undefined;
  readonly targets: Map<string, PrefetchTarget>;
}

/** A node that an image could go to. */
export interface TargetCandidate {
  id: string;
  hasImage: boolean;
  /** Whether the image is on its way there. */
  isComing: boolean;
  fetches: number;
  diskFreeBytes: number;
}

/**
 * Chooses nodes until as many as are asked for have the image or are to get it: those that have it, those to which it is
 * on its way, then those with least to do and most room. Nodes that have failed are not chosen again.
 *
 * @returns whether anything was chosen
 */
export function chooseTargets(prefetch: OperatorPrefetch, candidates: readonly TargetCandidate[]): boolean {
  const going = [...prefetch.targets.values()].filter(({ state }) => state !== "failed").length;
  const lacking = prefetch.count - going;
  if (prefetch.nodeIds.length > 0 || (prefetch.count > 0 && lacking <= 0)) return false;
  const free = candidates.filter(({ id }) => !prefetch.targets.has(id));
  free.sort(
    (a, b) =>
      Number(b.hasImage) - Number(a.hasImage) ||
      Number(b.isComing) - Number(a.isComing) ||
      a.fetches - b.fetches ||
      b.diskFreeBytes - a.diskFreeBytes ||
      (a.id < b.id ? -1 : 1),
  );
  const chosen = prefetch.count === 0 ? free : free.slice(0, lacking);
  for (const { id, hasImage } of chosen) prefetch.targets.set(id, { state: hasImage ? "ready" : "pending", error: "" });
  return chosen.length > 0;
}

/** How many nodes are in each state. */
export function targetCounts({ targets }: OperatorPrefetch): Record<PrefetchTarget["state"], number> {
  const counts = { pending: 0, ready: 0, failed: 0 };
  for (const { state } of targets.values()) counts[state]++;
  return counts;
}

/** How many nodes are to have the image. */
export function nodesWanted({ nodeIds, count, targets }: OperatorPrefetch): number {
  return nodeIds.length > 0 ? nodeIds.length : count || targets.size;
}

/** Ends it if nothing is under way any more; whether it did. */
export function endIfOver(prefetch: OperatorPrefetch, nowMs: number): boolean {
  const { pending, ready } = targetCounts(prefetch);
  if (prefetch.state !== "running" || pending > 0) return false;
  prefetch.state = ready >= nodesWanted(prefetch) ? "done" : "failed";
  prefetch.endedAtMs = nowMs;
  return true;
}
