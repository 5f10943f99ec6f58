/** What a boot reads, in order, and the time that the guest takes for itself in between: recorded from a real one. */
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { startNbdkit } from "../boot/nbdkit.ts";
import { type Accelerator, bootToReady } from "../boot/vm.ts";

export interface BootTrace {
  imageBytes: number;
  accelerator: Accelerator;
  /** Without recording nothing is faster: what the guest took for itself, in all. */
  guestSeconds: number;
  /** Offset, length, and milliseconds from the end of the read before to the start of this one. */
  reads: [offset: number, length: number, gapMs: number][];
}

/** Boots from a raw disk, read by nbdkit's file plugin, whose log filter notes every read. */
export async function recordBoot(rawPath: string, parent: string, accel: Accelerator): Promise<BootTrace> {
  const directory = mkdtempSync(join(parent, "bootswarm-trace-"));
  const logPath = join(directory, "log");
  try {
    const { uri, process } = await startNbdkit(join(directory, "disk"), [
      "--filter=log",
      "file",
      rawPath,
      `logfile=${logPath}`,
    ]);
    const sizeBytes = statSync(rawPath).size;
    try {
      const machine = { processors: 2, accel };
      await bootToReady("recorded", { uri, format: "raw" }, { directory, sizeBytes, ...machine }, () => {});
    } finally {
      await process.kill();
    }
    return { imageBytes: sizeBytes, accelerator: accel, ...traceOfLog(readFileSync(logPath, "utf8")) };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Of the log filter's lines: when each read began and ended. */
export function traceOfLog(log: string): Pick<BootTrace, "guestSeconds" | "reads"> {
  const reads: BootTrace["reads"] = [];
  let underWay = 0;
  let lastEndMs: number | undefined;
  let guestMs = 0;
  for (const line of log.split("\n")) {
    const match = /^(\S+ \S+) connection=\d+ (\.\.\.)?Read id=\d+(?: offset=(0x[0-9a-f]+) count=(0x[0-9a-f]+))?/.exec(
      line,
    );
    if (!match) continue;
    const [, time = "", isEnd, offset, count] = match;
    const atMs = timeMs(time);
    if (isEnd) {
      underWay -= 1;
      lastEndMs = atMs;
      continue;
    }
    // Reads that overlap have nothing between them. What comes before the first is the firmware's.
    const gapMs = underWay > 0 || lastEndMs === undefined ? 0 : Math.max(0, atMs - lastEndMs);
    underWay += 1;
    guestMs += gapMs;
    reads.push([Number(offset), Number(count), Math.round(gapMs * 1_000) / 1_000]);
  }
  if (reads.length === 0) throw new Error("nbdkit has logged no read");
  return { guestSeconds: guestMs / 1_000, reads };
}

/** Date.parse knows milliseconds only. */
function timeMs(time: string): number {
  const [seconds = "", fraction = "0"] = time.split(".");
  return Date.parse(`${seconds.replace(" ", "T")}Z`) + Number(`0.${fraction}`) * 1_000;
}
