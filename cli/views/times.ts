import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { formatAge } from "../../figures/units.ts";

/** "5 s ago", or "-" where there is no such time. */
export function ageOf(time: Timestamp | undefined, nowMs: number): string {
  return time === undefined ? "-" : formatAge(timestampMs(time), nowMs);
}

/** Seconds between two times; undefined where one is missing. */
export function secondsBetween(from: Timestamp | undefined, to: Timestamp | undefined): number | undefined {
  return from === undefined || to === undefined ? undefined : (timestampMs(to) - timestampMs(from)) / 1000;
}
