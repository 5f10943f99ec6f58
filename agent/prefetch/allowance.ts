/** What a node allows of prefetching: how much of its cache, and what of that is taken. Pure: figures in and out. */

export interface AllowanceRules {
  /** Most bytes of images on disk; 0 is no limit but the disk's. */
  quotaBytes: number;
  /** Share of the cache for what was brought because it is popular and has not been asked for since. */
  share: number;
}

export interface AllowanceNow {
  /** Of the cache's filesystem, and what of it is left to others. */
  diskFreeBytes: number;
  freeFloorBytes: number;
  /** Of complete images. */
  cacheBytes: number;
  /** What fetches under way have yet to write. */
  comingBytes: number;
  /** Of images brought ahead of need and not asked for since, those on their way included. */
  aheadBytes: number;
}

export interface Allowance {
  budgetBytes: number;
  usedBytes: number;
  /** What fits without anything being evicted. */
  roomBytes: number;
}

export function allowanceOf(rules: AllowanceRules, now: AllowanceNow): Allowance {
  const onDiskMax = now.cacheBytes + Math.max(0, now.diskFreeBytes - now.freeFloorBytes);
  const capacityBytes = rules.quotaBytes === 0 ? onDiskMax : Math.min(rules.quotaBytes, onDiskMax);
  return {
    budgetBytes: Math.floor(capacityBytes * rules.share),
    usedBytes: now.aheadBytes,
    roomBytes: Math.max(0, capacityBytes - now.cacheBytes - now.comingBytes),
  };
}
