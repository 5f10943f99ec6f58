/** What a run leaves, and the figures made of it: pure. */
import { mean, quantile } from "../statistics.ts";

/** How the image was found on the host that the scheduler chose. */
export const foundStates = ["cached", "in flight", "absent"] as const;
export type Found = (typeof foundStates)[number];

/** One VM. Times are the lab's. */
export interface VmRecord {
  /** When it was asked for, since the trace began. */
  atSeconds: number;
  image: string;
  host: string;
  found: Found;
  /** From the request to the image's being ready on the host. */
  seconds: number;
}

/** One scenario's run of one trace. */
export interface RunResult {
  scenario: string;
  vmsPerHour: number;
  seed: number;
  vms: VmRecord[];
  /** VMs for which no host had room. */
  turnedAway: number;
  /** Copies of an image that left the seeder, over what one image weighs: by swarm and by HTTP. */
  seederImagesSent: number;
  /** Images that are on nodes when all is over, prefetched ones included. */
  copiesAtEnd: number;
  /** What the scenario's daemons took of the machine's CPU time while the trace ran. */
  machineOwnPercent: number;
  /** What nobody took of it, with whatever ran side by side. */
  machineIdlePercent: number;
  /** Greatest delay with which a VM was asked for, against the trace. */
  latestSeconds: number;
}

export interface Summary {
  scenario: string;
  vmsPerHour: number;
  seeds: number;
  vms: number;
  turnedAway: number;
  /** Of the VMs. */
  foundPercent: Record<Found, number>;
  mean: number;
  /** The least and the greatest mean of a seed. */
  meanRange: [number, number];
  p50: number;
  p90: number;
  p99: number;
  max: number;
  /** Means over the seeds. */
  seederImagesSent: number;
  copiesAtEnd: number;
  /** Hosts that VMs were started on, and the most that were on one. */
  hostsUsed: number;
  vmsOnOneHost: number;
  machineOwnPercent: number;
  machineIdlePercent: number;
}

/** Runs of the same scenario at the same rate, in the order in which they first came. */
export function groupsOf(runs: readonly RunResult[]): RunResult[][] {
  return [...Map.groupBy(runs, (run) => `${run.vmsPerHour} ${run.scenario}`).values()];
}

/** All VMs of all seeds as one sample. */
export function summaryOf(runs: readonly RunResult[]): Summary {
  const [{ scenario, vmsPerHour }] = runs as [RunResult];
  const vms = runs.flatMap((run) => run.vms);
  const seconds = vms.map((vm) => vm.seconds);
  // A short trace may have no VM in it; its seed then says nothing of how long they wait.
  const means = runs.filter((run) => run.vms.length > 0).map((run) => mean(run.vms.map((vm) => vm.seconds)));
  const perHost = runs.map((run) => [...Map.groupBy(run.vms, (vm) => vm.host).values()].map((some) => some.length));
  const percentFound = (found: Found) => (100 * vms.filter((vm) => vm.found === found).length) / vms.length;
  return {
    scenario,
    vmsPerHour,
    seeds: runs.length,
    vms: vms.length,
    turnedAway: runs.reduce((sum, run) => sum + run.turnedAway, 0),
    foundPercent: Object.fromEntries(foundStates.map((found) => [found, percentFound(found)])) as Record<Found, number>,
    mean: mean(seconds),
    meanRange: [Math.min(...means), Math.max(...means)],
    p50: quantile(seconds, 0.5),
    p90: quantile(seconds, 0.9),
    p99: quantile(seconds, 0.99),
    max: Math.max(...seconds),
    seederImagesSent: mean(runs.map((run) => run.seederImagesSent)),
    copiesAtEnd: mean(runs.map((run) => run.copiesAtEnd)),
    hostsUsed: mean(perHost.map((counts) => counts.length)),
    vmsOnOneHost: Math.max(...perHost.flat()),
    machineOwnPercent: mean(runs.map((run) => run.machineOwnPercent)),
    machineIdlePercent: mean(runs.map((run) => run.machineIdlePercent)),
  };
}
