/** What one node has of one image, as a byte: the cells of the board. dashboard.proto says what each value means. */
import { type Fetch, FetchState } from "../../proto/gen/bootswarm/agent/v1/fetch_pb.js";

export const absentCell = 0;
export const queuedCell = 1;
export const pausedCell = 2;
export const cachedCell = 3;
/** And up to a hundred more: the percent that is there. */
export const fetchingCell = 100;

/** The cell of an image that is on its way. */
export function fetchCell(fetch: Pick<Fetch, "state" | "doneBytes" | "sizeBytes">): number {
  switch (fetch.state) {
    case FetchState.PAUSED:
      return pausedCell;
    case FetchState.ACTIVE:
    case FetchState.VERIFYING:
      return fetchingCell + percentOf(fetch.doneBytes, fetch.sizeBytes);
    default:
      return queuedCell;
  }
}

export function isOnItsWay(cell: number): boolean {
  return cell === queuedCell || cell === pausedCell || cell >= fetchingCell;
}

/** Rounded down, so that only what is whole is 100; what has no size yet is 0. */
function percentOf(done: bigint, total: bigint): number {
  if (total <= 0n || done <= 0n) return 0;
  return done >= total ? 100 : Number((done * 100n) / total);
}
