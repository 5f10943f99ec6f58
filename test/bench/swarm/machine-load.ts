/** What Linux counts of the machine and of a namespace's devices, from /proc. */
import { readFileSync } from "node:fs";

/** Ticks of the kernel's CPU accounting in a second; the same on every Linux that Node runs on. */
const ticksPerSecond = 100;

/** Bytes that have gone through a device of the network namespace that a process is in. */
export function deviceBytesOf(pid: number, device: string): { received: number; sent: number } {
  const line = readFileSync(`/proc/${pid}/net/dev`, "latin1")
    .split("\n")
    .find((candidate) => candidate.trim().startsWith(`${device}:`));
  if (!line) throw new Error(`process ${pid} has no device ${device}`);
  const fields = line
    .slice(line.indexOf(":") + 1)
    .trim()
    .split(/\s+/);
  return { received: Number(fields[0]), sent: Number(fields[8]) };
}

export interface MachineTicks {
  idle: number;
  all: number;
}

/** The machine's CPU time so far, over all cores. */
export function machineTicks(): MachineTicks {
  const [line = ""] = readFileSync("/proc/stat", "latin1").split("\n", 1);
  // cpu user nice system idle iowait irq softirq steal; guests are in user.
  const ticks = line.trim().split(/\s+/).slice(1, 9).map(Number);
  return { idle: (ticks[3] ?? 0) + (ticks[4] ?? 0), all: ticks.reduce((sum, value) => sum + value, 0) };
}

/** What became of the machine's CPU time between two looks, over all cores. */
export function cpuBetween(from: MachineTicks, to: MachineTicks): { seconds: number; idleSeconds: number } {
  return { seconds: (to.all - from.all) / ticksPerSecond, idleSeconds: (to.idle - from.idle) / ticksPerSecond };
}
