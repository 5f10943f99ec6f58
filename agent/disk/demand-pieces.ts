/** Byte ranges of an image as pieces of its torrent: pure. */
import type { Want } from "../../swarm/demand.ts";
import { piecesOf } from "../boot/piece-order.ts";
import type { DemandedRange } from "./messages.ts";

/** What to want of a torrent for what reads wait for, and for what they will probably read next. */
export function wantOf(ranges: readonly DemandedRange[], pieceLengthBytes: number): Want {
  const now = piecesOf(
    ranges.filter(({ ahead }) => !ahead),
    pieceLengthBytes,
  );
  const isWaitedFor = new Set(now);
  const ahead = piecesOf(
    ranges.filter((range) => range.ahead),
    pieceLengthBytes,
  );
  return { now, ahead: ahead.filter((index) => !isWaitedFor.has(index)) };
}
