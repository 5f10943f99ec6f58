/** What a running process has used so far, read from /proc: Linux only. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

export interface ProcessUsage {
  cpuSeconds: number;
  /** Resident memory now, and the most it has been. Pages shared between a process and its children count for each. */
  residentMib: number;
  peakMib: number;
}

/** The kernel's unit of CPU time, per second. */
const ticksPerSecond = Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));

/** Usage of a process and all its living descendants. */
export function usageOf(pid: number): ProcessUsage {
  const total: ProcessUsage = { cpuSeconds: 0, residentMib: 0, peakMib: 0 };
  for (const member of familyOf(pid)) {
    // Fields after the command's name, which may itself hold spaces and brackets; utime and stime are the 14th and 15th.
    const fields = readFileSync(`/proc/${member}/stat`, "latin1").split(") ").at(-1)?.split(" ") as string[];
    total.cpuSeconds += (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
    const status = readFileSync(`/proc/${member}/status`, "latin1");
    total.residentMib += kibibytesIn(status, "VmRSS") / 1024;
    total.peakMib += kibibytesIn(status, "VmHWM") / 1024;
  }
  return total;
}

function familyOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1").trim();
  const children = text === "" ? [] : text.split(" ").map(Number);
  return [pid, ...children.flatMap(familyOf)];
}

function kibibytesIn(status: string, field: string): number {
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(status)?.[1]);
}
