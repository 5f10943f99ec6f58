/** Byte ranges of an image as pieces of its torrent: pure. */
import type { Want } from "../../swarm/demand.ts";

interface Range {
  offset: number;
  length: number;
}

/** What to want of a torrent for what reads wait for, and for what they will probably read next. */
export function wantOf(ranges: readonly (Range & { ahead: boolean })[], pieceLengthBytes: number): Want {
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

/** The pieces that ranges lie in, each where it comes first: of a boot profile's extents, the order that a boot reads in. */
export function piecesOf(ranges: Iterable<Range>, pieceLengthBytes: number): number[] {
  const pieces = new Set<number>();
  for (const { offset, length } of ranges) {
    const end = offset + length;
    for (let index = Math.floor(offset / pieceLengthBytes); index * pieceLengthBytes < end; index++) pieces.add(index);
  }
  return [...pieces];
}
