import { systemCodeOf } from "../../daemon/problem.ts";

/** What may be wrong with a disk that it can get over: someone frees space, remounts it or mends it. */
export const diskFaults = ["full", "read-only", "failing"] as const;
export type DiskFault = (typeof diskFaults)[number];

const faultOfCode: Readonly<Record<string, DiskFault>> = {
  ENOSPC: "full",
  EDQUOT: "full",
  EROFS: "read-only",
  EIO: "failing",
};

/** The disk's fault in an error or its causes; undefined if it is of another kind, which waiting would not mend. */
export function diskFaultOf(error: unknown): DiskFault | undefined {
  for (let each = error; each instanceof Error; each = each.cause) {
    const fault = faultOfCode[systemCodeOf(each) ?? ""];
    if (fault) return fault;
  }
  return undefined;
}
