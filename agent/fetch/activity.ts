import { type FetchState, hasEnded } from "./fetch-view.ts";

/** What a fetch is at, as far as a person is told. */
export interface Doing {
  state: FetchState;
  /** What a queued one waits for, if not for its turn. */
  delay: string;
  /** What a paused one waits for. */
  waitingFor: string;
  /** What the way says that brings the bytes; undefined before there is one. */
  transfer: string | undefined;
  /** How much of the whole has been hashed: from 0 to 1. */
  hashedShare: number;
  /** A VM boots from the image's boot image. */
  isBooting: boolean;
  /** It is ahead of need, and somebody waits for another. */
  isHeldBack: boolean;
  /** What was found wrong with an image that is fetched anew. */
  damage: string | undefined;
}

/** What a fetch does now, for a person. */
export function activityOf(doing: Doing): string {
  const activity = plainActivity(doing);
  const isRepair = doing.damage !== undefined && !hasEnded(doing.state);
  return isRepair ? `repairing (${doing.damage}): ${activity}` : activity;
}

function plainActivity({ state, delay, waitingFor, transfer, hashedShare, isBooting, isHeldBack }: Doing): string {
  switch (state) {
    case "queued":
      return delay || "waiting for an active fetch to end";
    case "active": {
      const activity = transfer ?? "starting";
      if (isBooting) return `${activity}; slowly, while a VM boots from what is here`;
      return isHeldBack ? `${activity}; slowly, since others are asked for` : activity;
    }
    case "paused":
      return waitingFor || "waiting for the disk";
    case "verifying":
      return `checking the whole image's sha256 (${Math.floor(hashedShare * 100)} %)`;
    default:
      return state;
  }
}
