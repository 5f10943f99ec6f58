/** What a cell of the board means; dashboard.proto says it. Pure. */

export const queuedCell = 1;
export const pausedCell = 2;
export const cachedCell = 3;
const fetchingCell = 100;

export function isFetching(cell: number): boolean {
  return cell >= fetchingCell;
}

/** Percent that is there of an image that is being fetched. */
export function percentOf(cell: number): number {
  return cell - fetchingCell;
}

/** In words: "cached", "on its way, 42 %", "queued", "paused", "not there". */
export function cellText(cell: number): string {
  if (cell === cachedCell) return "cached";
  if (cell === queuedCell) return "queued";
  if (cell === pausedCell) return "paused";
  return isFetching(cell) ? `on its way, ${percentOf(cell)} %` : "not there";
}
