import type { DemandedRange } from "./messages.ts";
import type { Range } from "./piece-map.ts";

/** Ranges in one message; a VM waits for a few dozen. Of more the first are told: when they are here, the rest is. */
const rangesMax = 1_024;

/** One list of what is waited for and what is guessed, without overlaps in either kind, each in the disk's order. */
export function mergeDemand(waited: readonly Range[], guessed: readonly Range[]): DemandedRange[] {
  const all = [
    ...union(waited).map((range) => ({ ...range, ahead: false })),
    ...union(guessed).map((range) => ({ ...range, ahead: true })),
  ];
  return all.slice(0, rangesMax);
}

function union(ranges: readonly Range[]): Range[] {
  const merged: Range[] = [];
  for (const { offset, length } of [...ranges].sort((a, b) => a.offset - b.offset)) {
    const last = merged.at(-1);
    if (last && offset <= last.offset + last.length) {
      last.length = Math.max(last.length, offset + length - last.offset);
    } else {
      merged.push({ offset, length });
    }
  }
  return merged;
}
